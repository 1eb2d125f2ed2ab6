# SPDX-FileCopyrightText: Portalgate contributors
# SPDX-License-Identifier: Apache-2.0
#
# make -f xcaddy.mk         says what there is to make
#
# Nothing here needs a secret, and `run` and `build` need Go, make and git only.

# Caddy's storage back ends that we do not use.
TAGS = nobadger,nomysql,nopgx
# What `run` keeps between runs: the store, and Caddy's own data.
DATA = bin/data
# What is installed from npm: axe-core for the accessibility tests, and jose and
# grpc-js for the examples in Node.
NPM = internal/browsertest/node_modules/.package-lock.json examples/portal-node/node_modules/.package-lock.json \
	examples/plugin-node/node_modules/.package-lock.json

help:
	@echo 'make -f xcaddy.mk run     try it: the portal on http://localhost:8080, its mails on :8025'
	@echo 'make -f xcaddy.mk build   bin/portalgate: Caddy with Portalgate'
	@echo 'make -f xcaddy.mk test    format, vet and all tests, with the race detector'
	@echo 'make -f xcaddy.mk proof   the tests at the sizes we publish, and their figures'
	@echo 'make -f xcaddy.mk bench   what the gate costs a request, next to bare Caddy (10 minutes)'
	@echo 'make -f xcaddy.mk xcaddy  bin/caddy, built by xcaddy where that is installed'

build:
	@mkdir -p bin
	go build -tags $(TAGS) -trimpath -o bin/portalgate ./caddymodule/portalgate

# What `run` keeps its records in: a file, or the Redis of REDIS_URL.
export REDIS_URL
run: export STORE = $(if $(REDIS_URL),redis {env.REDIS_URL},embedded)
run: build
	@go build -trimpath -o bin/portal-go ./examples/portal-go
	@mkdir -p $(DATA)
	@portal= gate=; \
	stop() { trap - EXIT; trap '' INT TERM; kill $$portal $$gate 2>/dev/null; wait; exit $$1; }; \
	trap 'echo; echo "stopping"; stop 0' INT TERM; \
	trap 'stop 1' EXIT; \
	XDG_DATA_HOME="$$PWD/$(DATA)" XDG_CONFIG_HOME="$$PWD/$(DATA)"; \
	export XDG_DATA_HOME XDG_CONFIG_HOME; \
	bin/portal-go >$(DATA)/portal.log 2>&1 & portal=$$!; \
	bin/portalgate run --config Caddyfile >$(DATA)/gate.log 2>&1 & gate=$$!; \
	alive() { \
		kill -0 $$portal 2>/dev/null || { tail -n 5 $(DATA)/portal.log; echo 'the sample portal has stopped'; exit 1; }; \
		kill -0 $$gate 2>/dev/null || { tail -n 5 $(DATA)/gate.log; echo 'the gate has stopped'; exit 1; }; \
	}; \
	until grep -q 'serving initial configuration' $(DATA)/gate.log; do alive; sleep 1; done; \
	alive; \
	echo; \
	echo '  the portal   http://localhost:8080'; \
	echo '  its mails    http://localhost:8025'; \
	echo '  the desk     http://localhost:8081  (its mails: http://localhost:8025/staff/)'; \
	echo; \
	echo '  clients who can sign in:'; \
	awk -F, 'NR > 1 && $$6 == "yes" && $$7 == "yes" { printf "    %-24s %s\n", $$2, $$3 }' clients.csv; \
	echo '  staff who can sign in at the desk:'; \
	awk -F, 'NR > 1 { printf "    %-24s %s\n", $$2, $$3 }' staff.csv; \
	echo; \
	echo '  logs are in $(DATA); Ctrl-C stops everything'; \
	while :; do sleep 1; alive; done

# Three packages at a time, for many of them wait for other processes and not for
# a processor.
test: tools $(NPM)
	@echo '== gofmt'
	@bad=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	test -z "$$bad" || { echo "not formatted:"; echo "$$bad"; exit 1; }
	@echo '== go vet'
	go vet -tags $(TAGS) ./...
	@echo '== go test -race (the first time most of it is compiling Caddy)'
	go test -race -tags $(TAGS) -timeout 25m -p 3 ./...
	@echo '== go test, without -race: the races for one link at their size'
	go test -tags $(TAGS) -timeout 10m -run 'L09_' ./internal/gate

proof: tools $(NPM)
	@mkdir -p bin
	@echo "commit $$(git rev-parse --short HEAD), $$(go version), $$(uname -srm), $$(getconf _NPROCESSORS_ONLN) processors"
	@PORTALGATE_PROOF=1 go test -v -count=1 -p 1 -tags $(TAGS) -timeout 120m ./... >bin/proof.log 2>&1; status=$$?; \
	awk '/^=== RUN/ { test = $$3; sub("/.*", "", test) } \
		sub(/^.*proof: /, "") { print; print "    PORTALGATE_PROOF=1 go test -v -run ^" test "$$ ./..." } \
		/^--- FAIL|^FAIL|^panic:/' bin/proof.log; \
	echo "the whole output is in bin/proof.log"; exit $$status

bench: build
	@go run ./internal/bench -gate bin/portalgate

xcaddy:
	@command -v xcaddy >/dev/null || { echo 'xcaddy is not installed; `make -f xcaddy.mk build` needs only Go'; exit 1; }
	@mkdir -p bin
	XCADDY_GO_BUILD_FLAGS='-tags=$(TAGS) -trimpath' xcaddy build \
		"$$(go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)" --output bin/caddy \
		--with github.com/portalgate/portalgate/caddymodule --replace github.com/portalgate/portalgate=.

# What the tests need beside Go: a C compiler for the race detector, a Chromium,
# a Redis, and what the examples are written in. Installed where we may, asked
# for where not.
tools:
	@missing=; \
	command -v "$${CC:-gcc}" >/dev/null || missing=' gcc libc6-dev'; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
		|| missing="$$missing chromium fonts-dejavu-core"; \
	command -v redis-server >/dev/null && command -v redis-sentinel >/dev/null \
		|| missing="$$missing redis-server redis-sentinel"; \
	command -v node >/dev/null && command -v npm >/dev/null || missing="$$missing nodejs npm"; \
	command -v php >/dev/null || missing="$$missing php-cli"; \
	/usr/bin/python3 -c 'import jwt, cryptography' 2>/dev/null || missing="$$missing python3-jwt python3-cryptography"; \
	test -n "$$missing" || exit 0; \
	if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		echo "== installing $$missing"; \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	else \
		echo "the tests need$$missing; as root, on Debian: apt-get install$$missing"; exit 1; \
	fi

$(NPM): %/node_modules/.package-lock.json: %/package-lock.json
	@echo '== npm ci in $*'
	npm ci --prefix $*
	@touch $@

.PHONY: help build run test proof bench xcaddy tools
