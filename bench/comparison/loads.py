"""The table of loads: what is run, how long, on how many processors, and what it stresses."""


class Load:
    """One row of the comparison.

    program: path below bench/ of a load, or 'real' for a real program (see programs.py).
    full, quick: its arguments for a thorough and for a quick comparison.
    cores: 1 pins it to one processor; 0 leaves it all of them.
    memory: whether its peak resident memory says something about the allocator.
    picture: drawn on its own and no row of the tables.
    warm: needs hundreds of megabytes, so that as much is warmed before each run (runner.warm_memory), and little for others.
    recording: path below bench/ of a recording that is replayed.
    recorded: name of the real program that is recorded before the comparison, to be replayed.
    lasts: seconds that the full load takes by intent, beyond what counts as hanging.
    asked: runs only when it is named, not with 'all'.
    """

    def __init__(self, name, program, full, quick, cores, stresses, memory=True, picture=False, warm=False, recording="",
                 recorded="", lasts=0, asked=False):
        self.name = name
        self.program = program
        self.full = full.split()
        self.quick = quick.split()
        self.cores = cores
        self.stresses = stresses
        self.memory = memory
        self.picture = picture
        self.warm = warm
        self.recording = recording
        self.recorded = recorded
        self.lasts = lasts
        self.asked = asked


LARSON = "--min_size=8 --max_size=1000 --chunks=5000 --rounds=100"
PRODUCER = "loads/producer_consumer"
REPLAY = "--preload=none --points=0"

LOADS = [
    Load("larson-classic", "larson/larson", "5 1 1000 100 10000 42 1", "1 1 1000 100 10000 42 1", 1,
         "a server with one worker and few blocks"),
    Load("larson-1", "larson/larson", "--threads=1 --seconds=2 " + LARSON, "--threads=1 --seconds=0.5 " + LARSON, 1,
         "a server, blocks handed from thread to thread, one worker"),
    Load("larson-2", "larson/larson", "--threads=2 --seconds=2 " + LARSON, "--threads=2 --seconds=0.5 " + LARSON, 0,
         "the same with two workers"),
    Load("larson-8", "larson/larson", "--threads=8 --seconds=2 " + LARSON, "--threads=8 --seconds=0.5 " + LARSON, 0,
         "the same with eight workers"),
    Load("larson-sized", "larson/larson", "--threads=2 --seconds=2 --sized_delete " + LARSON,
         "--threads=2 --seconds=0.5 --sized_delete " + LARSON, 0, "the same with operator new and sized delete"),
    Load("producer-1-1", PRODUCER, "--blocks=20000000", "--blocks=4000000", 0, "remote frees only"),
    Load("producer-1-3", PRODUCER, "--blocks=10000000 --consumers=3", "--blocks=3000000 --consumers=3", 0,
         "remote frees, one allocates, three free"),
    Load("producer-3-1", PRODUCER, "--blocks=10000000 --producers=3", "--blocks=3000000 --producers=3", 0,
         "remote frees, three allocate, one frees"),
    Load("exchange", "loads/exchange", "", "--generations=15", 0, "threads that exchange blocks, die and are born anew"),
    Load("pareto", "loads/pareto", "", "--replacements=1500000", 1, "a long-lived set of small blocks: packing, locality"),
    Load("ping-pong", "loads/ping_pong", "", "", 1, "back and forth at every level of a heap: what does an edge cost?"),
    Load("many-sizes-1", "loads/many_sizes", "--threads=1 --replacements=8000000", "--threads=1 --replacements=2000000", 1,
         "all size classes up to 16 KB, few blocks of each"),
    Load("many-sizes-2", "loads/many_sizes", "--threads=2", "--threads=2 --replacements=1000000", 0,
         "the same in two threads"),
    Load("lifo-reverse", "loads/lifo_reverse", "--batches=1000", "--batches=300", 1,
         "small blocks, freed last first and first first in turn"),
    Load("sharing-active", "loads/false_sharing", "--mode=active", "--mode=active --iterations=8000", 0,
         "are blocks of two threads on one cache line?", memory=False),
    Load("sharing-passive", "loads/false_sharing", "--mode=passive", "--mode=passive --iterations=8000", 0,
         "the same with blocks that another thread allocated", memory=False),
    Load("integers", "loads/short_lived", "--mode=integers", "--mode=integers --rounds=40000", 1,
         "short-lived numbers of one thread"),
    Load("lists", "loads/short_lived", "--mode=lists", "--mode=lists --rounds=40000", 1, "lists built and dropped"),
    Load("large-blocks", "loads/large_blocks", "", "--blocks=300", 1, "blocks of 1 to 25 MB: page faults, zeroing", warm=True),
    Load("growing-vectors", "loads/growing_vectors", "", "--bytes=200000000", 1, "realloc up to 1 GB", warm=True),
    Load("small-vectors", "loads/growing_vectors", "--bytes=8000000 --vectors=1000 --rounds=20",
         "--bytes=8000000 --vectors=1000 --rounds=5", 1, "realloc of many vectors up to 8 KB"),
    Load("threads-in-turn", "loads/many_threads", "--at_a_time=1", "--at_a_time=1 --threads=3000", 0,
         "10,000 threads, one after the other"),
    Load("threads-500", "loads/many_threads", "--at_a_time=500", "--at_a_time=500 --threads=3000", 0,
         "10,000 threads, 500 at a time", warm=True),
    Load("burst", "loads/burst", "--mode=all", "--mode=all --bytes=500000000 --idle=1.2", 1, "1 GB of small blocks, freed, then idle", warm=True),
    Load("burst-exited", "loads/burst", "--mode=exited", "--mode=exited --bytes=500000000 --idle=1.2", 0,
         "the same by threads that have ended", warm=True),
    Load("burst-survivors", "loads/burst", "--mode=survivors", "--mode=survivors --bytes=500000000 --idle=1.2", 1,
         "the same, 1 % of the blocks stay", warm=True),
    Load("fork-loop", "loads/fork_loop", "--forks=10", "--forks=5 --bytes=250000000", 0,
         "forks of a threaded process with a heap of 1 GB: copy on write", warm=True),
] + [
    Load("replay-" + name, "replay/replay", REPLAY + " --repeat=20", REPLAY + " --repeat=5", 1,
         "the recorded calls of %s" % name, warm=True, recording="recordings/%s.hkos" % name)
    for name in ("python3", "sqlite3", "cc1plus")
] + [
    Load("replay-" + name, "replay/replay", REPLAY + " --repeat=3", REPLAY + " --repeat=1", 1,
         "the calls of %s, recorded at the beginning" % name, warm=True, recorded=name) for name in ("lua5.4", "perl", "git")
] + [
    Load("python3", "real", "4", "1", 1, "an interpreter with PYTHONMALLOC=malloc"),
    Load("sqlite3", "real", "4", "1", 1, "a database in memory"),
    Load("lua5.4", "real", "4", "1", 1, "strings and tables of a script"),
    Load("perl", "real", "4", "1", 1, "hashes and strings of a script"),
    Load("git", "real", "2", "1", 0, "log and repack of a repository"),
    Load("gcc", "real", "1", "1", 1, "a C++ file full of templates"),
    Load("clang", "real", "1", "1", 1, "the same"),
    Load("lld", "real", "2", "1", 0, "linking"),
    Load("redis", "real", "4", "1", 0, "a server under its own benchmark"),
]

# Pictures beside the table.
PATHS = Load("paths", "loads/paths_benchmark", "--benchmark_min_time=0.05", "--benchmark_min_time=0.01", 1,
             "malloc and free by block size", picture=True)
LATENCY = Load("latency", "larson/larson", "--threads=2 --seconds=3 --latency " + LARSON,
               "--threads=2 --seconds=1 --latency " + LARSON, 0, "time of single calls", picture=True)
STEADY = Load("steady", PRODUCER, "--seconds=600", "--seconds=15", 0,
              "producer and consumer for ten minutes: does resident memory grow?", picture=True, lasts=600, asked=True)
THREAD_COUNTS = [1, 2, 4, 8, 16]
THREADS = [
    Load("workers-%d" % count, "larson/larson", "--threads=%d --seconds=1 %s" % (count, LARSON),
         "--threads=%d --seconds=0.3 %s" % (count, LARSON), 0, "larson with %d workers" % count, picture=True)
    for count in THREAD_COUNTS
]


def choose(words):
    """The loads whose names are given or begin with a word that ends in '*'; 'all' but those that run only when asked for.

    ValueError names an unknown word.
    """
    everything = LOADS + [PATHS, LATENCY] + THREADS + [STEADY]
    if words == ["all"]:
        return [load for load in everything if not load.asked]
    chosen = []
    for word in words:
        found = [load for load in everything
                 if load.name == word or (word.endswith("*") and load.name.startswith(word[:-1]))]
        if not found:
            raise ValueError("'%s' is no load; known are %s" % (word, ", ".join(load.name for load in everything)))
        chosen.extend(load for load in found if load not in chosen)
    return chosen
