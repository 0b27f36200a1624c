"""redis-server under redis-benchmark and a fixed load: forked snapshots, reloads, a freeing thread; digests compared."""

import os
import re
import signal
import socket
import time

from run import ProgramFailed, tail

NEEDS = {'/usr/bin/redis-server': 'redis-server', '/usr/bin/redis-benchmark': 'redis-tools'}
# Debian's redis-server is a link to this file, which looks at the name by which it is called.
SERVED = ('redis-check-rdb', 'redis-benchmark')
LEAST_BLOCKS = 50_000

_START_SECONDS = 30


def _free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class _Server:
    """A server on a free port of the loopback, always stopped at the end."""

    def __init__(self, run):
        self._run = run
        self._port = _free_port()
        self._log = open(run.path('redis.log'), 'w+b')
        command = ['/usr/bin/redis-server', '--port', str(self._port), '--bind', '127.0.0.1', '--save', '', '--dir',
                   run.directory, '--enable-debug-command', 'local', '--io-threads', '2', '--daemonize', 'no']
        self._process = run.start(command, stdout=self._log, stderr=self._log, start_new_session=True)

    def __enter__(self):
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                if self.command('PING') == 'PONG':
                    return self
            except OSError:
                time.sleep(0.05)
        self.__exit__(None, None, None)
        raise ProgramFailed(f'redis-server does not answer\n{tail(self.log())}')

    def __exit__(self, kind, value, trace):
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(20)
            except Exception:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        status, log = self._process.returncode, self.log()
        self._log.close()
        if kind is None and value is None and status not in (0, None):
            raise ProgramFailed(f'redis-server ended with status {status}\n{tail(log)}')
        if b'hakmem:' in log:
            raise ProgramFailed(f'redis-server printed a message of hakmem\n{tail(log)}')

    def log(self):
        self._log.seek(0)
        return self._log.read()

    def commands(self, lines):
        """Sends inline commands in one connection and returns the reply to the last."""
        with socket.create_connection(('127.0.0.1', self._port), timeout=60) as connection, connection.makefile('rb') as replies:
            connection.sendall(('\r\n'.join(lines) + '\r\n').encode())
            reply = ''
            for _ in lines:
                reply = self._reply(replies)
            return reply

    def command(self, line):
        return self.commands([line])

    def _reply(self, replies):
        line = replies.readline().decode().strip()
        if not line:
            raise OSError('the server closed the connection')
        kind, rest = line[0], line[1:]
        if kind == '-':
            raise ProgramFailed(f'redis-server answered: {rest}')
        if kind == '$':
            return '' if rest == '-1' else replies.read(int(rest) + 2)[:-2].decode()
        if kind == '*':
            return [self._reply(replies) for _ in range(int(rest))]
        return rest

    def benchmark(self, *arguments):
        command = ['/usr/bin/redis-benchmark', '-h', '127.0.0.1', '-p', str(self._port), '-q', *arguments]
        text = self._run.call(command).decode()
        return sorted(set(re.findall(r'([A-Z]+(?: \(\d+ keys\))?): [0-9.]+ requests per second', text)))

    def wait_for_snapshot(self):
        end = time.monotonic() + 60
        while 'rdb_bgsave_in_progress:0' not in self.command('INFO persistence'):
            if time.monotonic() > end:
                raise ProgramFailed('a snapshot did not end')
            time.sleep(0.05)
        return re.search(r'rdb_last_bgsave_status:(\w+)', self.command('INFO persistence')).group(1)


def _fixed_load(rounds):
    """Commands whose effect depends on nothing but themselves."""
    for i in range(rounds):
        yield f'SET s:{i % 7000} {"v" * (i % 300)}{i}'
        yield f'APPEND s:{i * 13 % 7000} {"a" * (1 + i % 40)}'
        yield f'HSET h:{i % 300} f{i % 50} {i * i}'
        yield f'RPUSH l:{i % 200} {i} {"x" * (1 + i % 70)}'
        yield f'ZADD z:{i % 100} {i % 1000} m{i * 7 % 900}'
        yield f'SADD u:{i % 90} {i * 11 % 5000}'
        if i % 3 == 0:
            yield f'DEL s:{i * 5 % 7000}'
            yield f'LTRIM l:{i % 200} -100 -1'
        if i % 50 == 0:
            yield f'UNLINK h:{i % 300}'


def work(run):
    results = {}
    with _Server(run) as server:
        results['benchmark'] = server.benchmark('-n', str(40_000 * run.scale), '-r', '50000', '-d', '200', '-P', '16',
                                                '-t', 'set,get,incr,lpush,lpop,sadd,hset,zadd,mset')
        results['plain benchmark'] = server.benchmark('-n', str(10_000 * run.scale), '-c', '20', '-t', 'set,get')
        server.command('FLUSHALL ASYNC')
        load = list(_fixed_load(20_000 * run.scale))
        for begin in range(0, len(load), 5000):
            server.commands(load[begin:begin + 5000])
            if begin % 50_000 == 0:
                # The fork and the writing child go on beside the load that follows.
                server.wait_for_snapshot()
                server.command('BGSAVE')
        results['snapshot'] = server.wait_for_snapshot()
        results['digest'] = server.command('DEBUG DIGEST')
        results['keys'] = server.command('DBSIZE')
        server.command('DEBUG RELOAD')
        results['digest after reload'] = server.command('DEBUG DIGEST')
        results['copy'] = server.command('EVAL "local n = 0 for _, k in ipairs(redis.call(\'KEYS\', \'l:*\')) do '
                                         'n = n + #redis.call(\'LRANGE\', k, 0, -1) end return n" 0')
        server.command('FLUSHALL ASYNC')
        results['keys at the end'] = server.command('DBSIZE')
    return results
