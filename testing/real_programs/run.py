"""One run of a real program, with hakmem preloaded or without: its directory, its environment, its processes."""

import hashlib
import os
import shlex
import signal
import subprocess
import tempfile


class ProgramFailed(Exception):
    """A program of the run ended badly or printed what it must not."""


class Run:
    """Starts programs in a fresh directory. With a library, each process of them is witnessed."""

    def __init__(self, library=None, witness=None, wrapper='', settings=(), scale=1):
        self._temporary = tempfile.TemporaryDirectory(prefix='real_programs_')
        self.directory = self._temporary.name
        self.library = library
        self.scale = scale
        self._wrapper = shlex.split(wrapper) if library else []
        self._witness_file = os.path.join(self.directory, 'witness')
        self._report_file = os.path.join(self.directory, 'report')
        self.environment = {
            'HOME': self.directory,
            'LANG': 'C.UTF-8',
            'PATH': '/usr/bin:/bin',
            'PYTHONDONTWRITEBYTECODE': '1',
            'PYTHONHASHSEED': '0',
            'TMPDIR': self.directory,
        }
        self._preload = {}
        if library:
            self._preload['LD_PRELOAD'] = f'{library}:{witness}' if witness else library
            self._preload['REAL_PROGRAMS_WITNESS'] = self._witness_file
            self._preload['HAKMEM_REPORT'] = self._report_file
            self._preload['HAKMEM_STATS'] = '2'
            self._preload.update(setting.split('=', 1) for setting in settings)

    def path(self, name):
        return os.path.join(self.directory, name)

    def command(self, argv, witness=True):
        """argv such that the program, but not a wrapper around it, has the library preloaded."""
        if not self._preload:
            return list(argv)
        assignments = [f'{key}={value}' for key, value in self._preload.items()
                       if witness or key != 'REAL_PROGRAMS_WITNESS']
        return self._wrapper + ['/usr/bin/env'] + assignments + list(argv)

    def start(self, argv, **options):
        """subprocess.Popen of argv with the run's directory and environment."""
        environment = dict(self.environment, **options.pop('env', {}))
        command = self.command(argv, options.pop('witness', True))
        return subprocess.Popen(command, cwd=self.directory, env=environment, **options)

    def call(self, argv, stdin=None, timeout=300, status=0, **options):
        """Runs argv to its end and returns its standard output; another exit status is an error, unless it is None."""
        # In a session of its own, so that the end of a program that takes too long is that of all it has started.
        with self.start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                        start_new_session=True, **options) as process:
            try:
                out, err = process.communicate(stdin, timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out, err = process.communicate()
                raise ProgramFailed(f'{shlex.join(argv)} took more than {timeout} s\n{tail(out)}{tail(err)}') from None
        if process.returncode != status and (status is not None or process.returncode < 0):
            raise ProgramFailed(f'{shlex.join(argv)} ended with status {process.returncode}\n{tail(out)}{tail(err)}')
        if b'hakmem:' in err:
            raise ProgramFailed(f'{shlex.join(argv)} printed a message of hakmem:\n{tail(err)}')
        return out

    def witnessed(self):
        """Program name -> number of its processes, all served by hakmem. ProgramFailed if another malloc served one."""
        programs = {}
        try:
            with open(self._witness_file) as stream:
                lines = stream.read().splitlines()
        except FileNotFoundError:
            return programs
        for line in lines:
            owned, program = line.split(' ', 1)
            if owned != '1':
                raise ProgramFailed(f'{program} was served by another malloc than that of {self.library}')
            name = os.path.basename(program)
            programs[name] = programs.get(name, 0) + 1
        return programs

    def reports(self):
        """What hakmem wrote to HAKMEM_REPORT in all processes of the run."""
        try:
            with open(self._report_file, errors='replace') as stream:
                return stream.read()
        except FileNotFoundError:
            return ''

    def close(self):
        self._temporary.cleanup()


def tail(output):
    return ''.join(f'    {line}\n' for line in output.decode(errors='replace').splitlines()[-25:])


def digest(data):
    """A short name for the content of `data` (bytes) to compare."""
    return hashlib.sha256(data).hexdigest()[:32]


def file_digest(path):
    with open(path, 'rb') as stream:
        return digest(stream.read())
