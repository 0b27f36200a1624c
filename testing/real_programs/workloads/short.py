"""Little work for slow tools: blocks made in four threads, each dropped by another."""

import threading

made = [[] for _ in range(4)]


def make(number):
    made[number] = [bytes(i % 900) for i in range(10000)]


def drop(number):
    made[number] = sum(map(len, made[number]))


for target, shift in ((make, 0), (drop, 1)):
    threads = [threading.Thread(target=target, args=((number + shift) % 4,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print('made', made)
