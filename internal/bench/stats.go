// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"time"
)

// student holds the 97.5 % quantile of Student's t, by degrees of freedom
// from 1.
var student = [...]float64{
	12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
	2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
}

// interval is a mean and its 95 % confidence interval.
type interval struct{ low, mean, high float64 }

// mean returns the mean of 2 to 21 values and where it may lie, 19 times in
// 20, if what makes them differ is chance.
func mean(xs []float64) interval {
	n := float64(len(xs))
	var sum, squares float64
	for _, x := range xs {
		sum += x
	}
	m := sum / n
	for _, x := range xs {
		squares += (x - m) * (x - m)
	}
	half := student[len(xs)-2] * math.Sqrt(squares/(n-1)/n)
	return interval{m - half, m, m + half}
}

// paired returns by how many per cent b is more than a, pair by pair: the mean
// of the logarithms of b/a, turned back.
func paired(a, b []float64) interval {
	logs := make([]float64, len(a))
	for i := range a {
		logs[i] = math.Log(b[i] / a[i])
	}
	m := mean(logs)
	return interval{percent(m.low), percent(m.mean), percent(m.high)}
}

func percent(log float64) float64 { return 100 * (math.Exp(log) - 1) }

// quantile returns the value that a share q of the sorted values does not
// exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}
