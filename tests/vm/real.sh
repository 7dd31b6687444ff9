#!/bin/sh
# SPDX-License-Identifier: MIT
#
# real.sh PROGRAMS: in a virtual machine, where busybox is all there is, a short version of
# tests/process/real.py: attaches to a redis-server and an sqlite3 at work. Ends with 0 if no write
# was missed and no request failed, with 77 if they are not installed.

programs=$1
milliseconds=${WW_REAL_MS:-3000}
processes=
failed=

end() {
	# shellcheck disable=SC2086 # a list
	kill -9 $processes 2>/dev/null
	cd / && rm -rf "$folder"
	exit "$1"
}

fail() {
	echo "$*"
	failed=yes
}

# attach NAME PID: to a server under load, that nobody shares memory with.
attach() {
	echo "$1:"
	"$programs/real" compare "$2" "$milliseconds" alone
	status=$?
	[ $status -eq 0 ] || fail "$1: ended with $status"
}

run_redis() {
	"$programs/redis-server" --port 0 --unixsocket redis.sock --save '' --dir . >redis.log 2>&1 &
	server=$!
	processes="$processes $server"
	for _ in $(seq 600); do
		[ -S redis.sock ] && break
		sleep 0.1
	done
	"$programs/redis-benchmark" -s redis.sock -q -t set,get,lpush,lpop,hset -n 5000 -r 5000 \
		-d 200 -P 4 -l >load.log 2>&1 &
	load=$!
	processes="$processes $load"
	sleep 2
	attach redis-server $server
	kill -0 $load || fail "redis-benchmark has ended"
	! grep -i error load.log || fail "a request failed"
	kill $load $server
}

# 20 rows at a time, and a 1 for each answer that is right. Cheap, as what is in the pipe by the end
# is still done then, perhaps under memory pressure.
ask_sqlite() {
	echo 'pragma journal_mode=wal; pragma synchronous=off; create table t(n, s);'
	count=0
	while :; do
		count=$((count + 1))
		echo 'begin; with recursive r(n) as (select 1 union all select n + 1 from r where n < 20)
			insert into t select n, hex(randomblob(100)) from r; commit;'
		echo "select max(rowid) = $count * 20 from t;"
	done
}

run_sqlite() {
	mkfifo questions
	"$programs/sqlite3" -batch -bail test.db <questions >answers 2>&1 &
	server=$!
	ask_sqlite >questions 2>/dev/null &
	load=$!
	processes="$processes $server $load"
	sleep 2
	attach sqlite3 $server
	kill $load
	wait $server || fail "sqlite3 ended with an error"
	[ "$(sort -u answers | tr '\n' ' ')" = '1 wal ' ] || fail "sqlite3 said: $(sort -u answers)"
	echo "$(wc -l <answers) answers"
}

for program in redis-server redis-benchmark sqlite3; do
	if [ ! -x "$programs/$program" ]; then
		echo "$program is not installed"
		exit 77
	fi
done
folder=$PWD/real-$$
mkdir "$folder" && cd "$folder" || exit 1
run_redis
run_sqlite
[ ! "$failed" ] || end 1
end 0
