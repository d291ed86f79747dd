// The same works as zookeeper_bench.c, by Apache Curator. usage: CuratorBench WORK SERVERS ROOT; prints one number.
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.cache.TreeCacheEvent;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.retry.ExponentialBackoffRetry;
import org.apache.zookeeper.CreateMode;

public class CuratorBench {
    static CuratorFramework open(String servers) throws Exception {
        CuratorFramework client =
            CuratorFrameworkFactory.newClient(servers, 10000, 5000, new ExponentialBackoffRetry(100, 5));
        client.start();
        client.blockUntilConnected();
        return client;
    }

    static double median(double[] values) {
        Arrays.sort(values);
        return values[values.length / 2];
    }

    interface Work { double once(int round) throws Exception; }

    static double medianOf(int rounds, Work work) throws Exception {
        double[] values = new double[rounds];
        for (int i = 0; i < rounds; i++) values[i] = work.once(i);
        return median(values);
    }

    static double background(CuratorFramework client, String root) throws Exception {
        int count = 5000;
        byte[] data = new byte[200];
        CountDownLatch left = new CountDownLatch(count);
        long begin = System.nanoTime();
        for (int i = 0; i < count; i++)
            client.create().withMode(CreateMode.EPHEMERAL).inBackground((c, e) -> left.countDown())
                .forPath(root + "/e" + i, data);
        left.await();
        double seconds = (System.nanoTime() - begin) / 1e9;
        for (int i = 0; i < count; i++) client.delete().inBackground().forPath(root + "/e" + i);
        client.checkExists().forPath(root);
        return seconds;
    }

    static double blocking(CuratorFramework client, String root) throws Exception {
        int count = 5000;
        byte[] data = new byte[200];
        long begin = System.nanoTime();
        for (int i = 0; i < count; i++)
            client.create().withMode(CreateMode.EPHEMERAL).forPath(root + "/e" + i, data);
        double seconds = (System.nanoTime() - begin) / 1e9;
        for (int i = 0; i < count; i++) client.delete().inBackground().forPath(root + "/e" + i);
        client.checkExists().forPath(root);
        return seconds;
    }

    static double lock(CuratorFramework client, String root) throws Exception {
        InterProcessMutex mutex = new InterProcessMutex(client, root + "/lock");
        mutex.acquire();
        mutex.release();
        int count = 50;
        long begin = System.nanoTime();
        for (int i = 0; i < count; i++) {
            mutex.acquire();
            mutex.release();
        }
        return (System.nanoTime() - begin) / 1e9 / count;
    }

    static double contend(String servers, String root) throws Exception {
        int sessions = 8, each = 50;
        List<Thread> threads = new ArrayList<>();
        List<CuratorFramework> clients = new ArrayList<>();
        for (int i = 0; i < sessions; i++) clients.add(open(servers));
        long begin = System.nanoTime();
        for (CuratorFramework client : clients) {
            Thread thread = new Thread(() -> {
                try {
                    InterProcessMutex mutex = new InterProcessMutex(client, root + "/contended");
                    for (int i = 0; i < each; i++) {
                        mutex.acquire();
                        mutex.release();
                    }
                } catch (Exception e) {
                    e.printStackTrace();
                }
            });
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads) thread.join();
        double seconds = (System.nanoTime() - begin) / 1e9;
        for (CuratorFramework client : clients) client.close();
        return seconds / (sessions * each);
    }

    static double cache(CuratorFramework client, String root) throws Exception {
        CountDownLatch ready = new CountDownLatch(1);
        long begin = System.nanoTime();
        CuratorCache cache = CuratorCache.build(client, root + "/view");
        cache.listenable().addListener(CuratorCacheListener.builder().forInitialized(ready::countDown).build());
        cache.start();
        ready.await();
        double seconds = (System.nanoTime() - begin) / 1e9;
        cache.close();
        return seconds;
    }

    static double tree(CuratorFramework client, String root) throws Exception {
        CountDownLatch ready = new CountDownLatch(1);
        long begin = System.nanoTime();
        TreeCache cache = TreeCache.newBuilder(client, root + "/view").build();
        cache.getListenable().addListener((c, e) -> {
            if (e.getType() == TreeCacheEvent.Type.INITIALIZED) ready.countDown();
        });
        cache.start();
        ready.await();
        double seconds = (System.nanoTime() - begin) / 1e9;
        cache.close();
        return seconds;
    }

    // The value of root/change starts with the time of its write (nanoseconds of System.nanoTime's clock).
    static double react(CuratorFramework client, String root, int warm, int count) throws Exception {
        List<Double> seen = new ArrayList<>();
        CountDownLatch done = new CountDownLatch(1);
        CuratorCache cache = CuratorCache.build(client, root + "/change", CuratorCache.Options.SINGLE_NODE_CACHE);
        cache.listenable().addListener(CuratorCacheListener.builder().forChanges((before, node) -> {
            seen.add((System.nanoTime() - Long.parseLong(new String(node.getData()).split(" ")[0])) / 1e9);
            if (seen.size() == warm + count) done.countDown();
        }).build());
        cache.start();
        done.await();
        double[] values = new double[count];
        for (int i = 0; i < count; i++) values[i] = seen.get(warm + i);
        return median(values);
    }

    static double resident() throws Exception {
        for (String line : java.nio.file.Files.readAllLines(java.nio.file.Path.of("/proc/self/status")))
            if (line.startsWith("VmRSS:")) return Double.parseDouble(line.replaceAll("[^0-9]", "")) / 1024;
        return 0;
    }

    public static void main(String[] args) throws Exception {
        String work = args[0], servers = args[1], root = args[2];
        CuratorFramework client = open(servers);
        client.create().orSetData().creatingParentsIfNeeded().forPath(root);
        double result = 0;
        if (work.equals("background")) {
            background(client, root); // warm
            result = medianOf(5, i -> background(client, root));
        } else if (work.equals("blocking")) {
            result = blocking(client, root);
        } else if (work.equals("lock")) {
            result = medianOf(5, i -> lock(client, root));
        } else if (work.equals("contend")) {
            result = contend(servers, root);
        } else if (work.equals("cache")) {
            result = cache(client, root);
        } else if (work.equals("tree")) {
            result = tree(client, root);
        } else if (work.equals("cache-warm")) {
            result = medianOf(3, i -> cache(client, root));
        } else if (work.equals("tree-warm")) {
            result = medianOf(3, i -> tree(client, root));
        } else if (work.equals("react")) {
            result = react(client, root, 1000, 500);
        } else if (work.equals("resident")) {
            CuratorCache cache = CuratorCache.build(client, root + "/view");
            CountDownLatch ready = new CountDownLatch(1);
            cache.listenable().addListener(CuratorCacheListener.builder().forInitialized(ready::countDown).build());
            cache.start();
            ready.await();
            result = resident();
        }
        System.out.println(result);
        System.exit(0);
    }
}
