# What the first questions to a machine have in common: the programs, copied, and how an answer is counted.
bin=/srv/tests/bin status=0 passed=0 failed=0
mkdir -p "$bin" && cp "$programs/ringfence" "$programs/attacker" "$bin" || exit 1
mkdir -p /srv/tests/w && chown ringfence-test /srv/tests/w && cd /srv/tests/w || exit 1

check() {
    what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1)) status=1
        echo "failed: $what"
        sed 's/^/    /' /tmp/said /tmp/told 2>/dev/null
    fi
}

report() { $as "$bin/ringfence" run --json "$@" >/tmp/said 2>/tmp/told; }

home=$(awk -F: '$1 == "ringfence-test" { print $6 }' /etc/passwd) uid=$(id -u ringfence-test)
user="setpriv --reuid=ringfence-test --regid=ringfence-test --clear-groups --inh-caps=-all env HOME=$home"

