<?php
// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// A client portal that stands behind Portalgate, for PHP 8.1 or newer:
//
//	ISSUER=https://portal.example.com AUDIENCE=portal php -S 127.0.0.1:9000 portal.php
//
// ISSUER is the gate's public_url, AUDIENCE what its handler says (default:
// ISSUER), KEYS_URL where its keys are, if not there. KEYS_FILE is where they
// are kept between requests (default: keys.json beside this file): PHP must be
// able to write in that folder, and nobody else. Let it listen on loopback, for
// it must be reachable through the gate only: what comes from elsewhere is
// refused as long as nothing is served before verify has been asked.
//
//	php portal.php --vectors FILE
//
// checks the published assertions instead: see identity/testdata/README.md.
//
// Debian packages no JWT library for PHP, so this does with the openssl extension
// what is needed of one. With Composer, firebase/php-jwt checks the signature and
// the times, and what verify says of the header and of the other claims remains.

declare(strict_types=1);

class Refused extends Exception {}
class Unavailable extends Exception {}

/** Returns what an assertion says of the client. keyNamed returns a PEM, or null. */
function verify(string $token, callable $keyNamed, string $issuer, string $audience, int $now): array
{
    $parts = explode('.', $token);
    if (count($parts) !== 3) throw new Refused('malformed');
    [$header, $claims] = array_map(fn($p) => json_decode(base64url($p), true, 8), $parts);
    if (!is_array($header) || !is_array($claims)) throw new Refused('malformed');
    if (($header['alg'] ?? null) !== 'ES256') throw new Refused('alg');
    if (($header['typ'] ?? null) !== 'portalgate-identity+jwt') throw new Refused('typ');
    if (array_diff(array_keys($header), ['alg', 'typ', 'kid'])) throw new Refused('a header that no gate writes');
    $key = is_string($header['kid'] ?? null) ? $keyNamed($header['kid']) : null;
    if ($key === null) throw new Refused('kid');
    $signature = base64url($parts[2]);
    if (strlen($signature) !== 64) throw new Refused('signature');
    if (openssl_verify("$parts[0].$parts[1]", der($signature), $key, OPENSSL_ALGO_SHA256) !== 1) throw new Refused('signature');
    if (($claims['iss'] ?? null) !== $issuer || ($claims['aud'] ?? null) !== $audience) throw new Refused('iss or aud');
    foreach (['exp', 'nbf', 'iat'] as $name) {
        if (!is_int($claims[$name] ?? null)) throw new Refused($name);
    }
    if ($claims['exp'] <= $now - 30 || max($claims['nbf'], $claims['iat']) > $now + 30) throw new Refused('time');
    $sub = $claims['sub'] ?? null;
    if (!is_string($sub) || $sub === '' || array_key_exists('anonymous', $claims)) throw new Refused('nobody is signed in');
    return $claims;
}

/** Decodes base64url. What is not base64url becomes the empty string. */
function base64url(string $text): string
{
    return (string) base64_decode(strtr($text, '-_', '+/'), true);
}

/** Writes a JWT's signature, r and s, as openssl reads it: a DER sequence of two integers. */
function der(string $signature): string
{
    $integers = '';
    foreach (str_split($signature, 32) as $n) {
        $n = ltrim($n, "\0");
        if ($n === '' || ord($n[0]) > 0x7f) $n = "\0$n"; // positive
        $integers .= "\x02" . chr(strlen($n)) . $n;
    }
    return "\x30" . chr(strlen($integers)) . $integers;
}

/** Returns the keys of a set as PEM, by name. */
function pems(array $jwks): array
{
    $prefix = hex2bin('3059301306072a8648ce3d020106082a8648ce3d03010703420004'); // "a point on P-256", in DER
    $pems = [];
    foreach ($jwks['keys'] as $key) {
        if ($key['kty'] !== 'EC' || $key['crv'] !== 'P-256') continue;
        $point = base64_encode($prefix . base64url($key['x']) . base64url($key['y']));
        $pems[$key['kid']] = "-----BEGIN PUBLIC KEY-----\n" . chunk_split($point, 64, "\n") . "-----END PUBLIC KEY-----\n";
    }
    return $pems;
}

/**
 * Returns the gate's key of that name. The set is fetched anew after 5 minutes, or
 * for a name that is not in it, but not within 30 s of the last time: anybody can
 * make up names. While it cannot be fetched, the one that was keeps working.
 */
function gateKey(string $kid, string $url, string $file): ?string
{
    $kept = json_decode((string) @file_get_contents($file), true) ?? ['tried' => 0, 'fetched' => 0, 'jwks' => ['keys' => []]];
    $keys = pems($kept['jwks']);
    $now = time();
    $since = fn($what) => abs($now - $kept[$what]); // a clock that was set back is no reason to wait
    if ((!isset($keys[$kid]) || $since('fetched') > 300) && ($since('tried') >= 30 || !$keys)) {
        $kept['tried'] = $now;
        $jwks = fetch($url);
        if ($jwks !== null) [$kept['fetched'], $kept['jwks']] = [$now, $jwks];
        $keys = pems($kept['jwks']);
        if (!$keys) throw new Unavailable();
        $new = tempnam(dirname($file), 'keys');
        file_put_contents($new, json_encode($kept));
        rename($new, $file); // whole, for those who read at the same time
    }
    return $keys[$kid] ?? null;
}

/** Returns the key set at a URL, and null if it cannot be had. */
function fetch(string $url): ?array
{
    $http = ['timeout' => 5, 'follow_location' => 0, 'ignore_errors' => true];
    $body = @file_get_contents($url, false, stream_context_create(['http' => $http]));
    if ($body === false || !preg_match('#^HTTP/\S+ 200#', $http_response_header[0])) return null;
    $jwks = json_decode($body, true);
    return is_array($jwks['keys'] ?? null) ? $jwks : null;
}

function serve(): void
{
    $issuer = getenv('ISSUER') ?: 'http://localhost:8080';
    $url = getenv('KEYS_URL') ?: "$issuer/.well-known/portalgate/jwks.json";
    $file = getenv('KEYS_FILE') ?: __DIR__ . '/keys.json';
    header('Cache-Control: no-store');
    try {
        $who = verify($_SERVER['HTTP_PORTALGATE_ASSERTION'] ?? '', fn($kid) => gateKey($kid, $url, $file),
            $issuer, getenv('AUDIENCE') ?: $issuer, time());
    } catch (Refused) {
        http_response_code(401);
        header('WWW-Authenticate: Portalgate');
        header('Content-Type: text/plain; charset=utf-8');
        echo "Please open this page through the client portal and sign in there.\n";
        return;
    } catch (Unavailable) {
        http_response_code(503);
        header('Retry-After: 5');
        header('Content-Type: text/plain; charset=utf-8');
        echo "We cannot check who you are just now. Please try again in a moment.\n";
        return;
    }
    header('Content-Type: text/html; charset=utf-8');
    echo '<!doctype html><title>Portal</title><h1>Hello ', htmlspecialchars($who['name'] ?? $who['sub']), "</h1>\n";
}

function checkVectors(string $file): void
{
    $f = json_decode(file_get_contents($file), true, flags: JSON_THROW_ON_ERROR);
    $keys = pems($f['jwks']);
    foreach ($f['vectors'] as $v) {
        try {
            verify($v['token'], fn($kid) => $keys[$kid] ?? null, $f['issuer'], $f['audience'], $f['now']);
            echo $v['name'], " ok\n";
        } catch (Refused) {
            echo $v['name'], " refused\n";
        }
    }
}

if (PHP_SAPI === 'cli' && ($argv[1] ?? '') === '--vectors') checkVectors($argv[2]);
else serve();
