# The same works as zookeeper_bench.c, by kazoo. usage: kazoo_bench.py WORK SERVERS ROOT; prints one number.
import statistics
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.recipe.cache import TreeCache, TreeEvent

work, servers, root = sys.argv[1:4]


def connect():
    one = KazooClient(hosts=servers)
    one.start()
    return one


client = connect()
client.ensure_path(root)


def ephemerals():
    begin = time.monotonic()
    for result in [client.create_async("%s/k%d" % (root, i), b"x" * 200, ephemeral=True) for i in range(5000)]:
        result.get()
    seconds = time.monotonic() - begin
    for result in [client.delete_async("%s/k%d" % (root, i)) for i in range(5000)]:
        result.get()
    return seconds


def lock():
    one = client.Lock(root + "/klock", "bench")
    with one:
        pass
    begin = time.monotonic()
    for _ in range(50):
        one.acquire()
        one.release()
    return (time.monotonic() - begin) / 50


def contend():
    clients = [connect() for _ in range(8)]

    def run(one):
        mine = one.Lock(root + "/kcontended", "bench")
        for _ in range(50):
            mine.acquire()
            mine.release()

    threads = [threading.Thread(target=run, args=(one,)) for one in clients]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.monotonic() - begin) / 400


def view():
    ready = threading.Event()
    cache = TreeCache(client, root + "/view")
    cache.listen(lambda event: ready.set() if event.event_type == TreeEvent.INITIALIZED else None)
    begin = time.monotonic()
    cache.start()
    ready.wait(60)
    return time.monotonic() - begin


def react():
    """The value of root/change starts with the time of its write, in nanoseconds of CLOCK_MONOTONIC."""
    seen, done = [], threading.Event()

    @client.DataWatch(root + "/change")
    def changed(data, stat):
        seen.append((time.monotonic_ns() - int(data.split()[0])) / 1e9)
        if len(seen) == 700:
            done.set()
            return False

    done.wait(60)
    return statistics.median(seen[200:])


def resident():
    view()
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS:"))


works = {"ephemerals": ephemerals, "lock": lock}
if work in works:
    print(statistics.median(works[work]() for _ in range(3)))
else:
    print({"contend": contend, "view": view, "react": react, "resident": resident}[work]())
