// Apache Curator's InterProcessMutex on a path that it shares with us; driven by lines on standard input:
//   acquire, release, participants, quit. Each is answered by one line.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.retry.ExponentialBackoffRetry;

public class Curator {
    public static void main(String[] args) throws Exception {
        CuratorFramework client =
            CuratorFrameworkFactory.newClient(args[0], 10000, 5000, new ExponentialBackoffRetry(100, 5));
        client.start();
        client.blockUntilConnected();
        InterProcessMutex mutex = new InterProcessMutex(client, args[1]);
        System.out.println("ready");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null && !line.equals("quit"); line = in.readLine()) {
            if (line.equals("acquire")) {
                System.out.println(mutex.acquire(20, TimeUnit.SECONDS) ? "acquired" : "timeout");
            } else if (line.equals("try")) {
                System.out.println(mutex.acquire(200, TimeUnit.MILLISECONDS) ? "acquired" : "busy");
            } else if (line.equals("release")) {
                mutex.release();
                System.out.println("released");
            } else if (line.equals("participants")) {
                System.out.println(mutex.getParticipantNodes().size());
            }
        }
        client.close();
    }
}
