// SPDX-License-Identifier: Apache-2.0
// Threads that allocate, share, wait and fault, as the virtual machine turns host faults
// into exceptions; prints what came of them.
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import java.util.stream.*;

public class Work {
    static final ConcurrentHashMap<String, AtomicLong> map = new ConcurrentHashMap<>();
    static long shared;
    static synchronized void add(long n) { shared += n; }
    static int depth(int n) { return 1 + depth(n + 1); }
    static long churn(int seed) {
        Random random = new Random(seed);
        ArrayList<byte[]> kept = new ArrayList<>();
        long sum = 0;
        for (int i = 0; i < 30000; i++) {
            byte[] block = new byte[random.nextInt(2000) + 16];
            block[i % block.length] = (byte) i;
            if (i % 10 == 0) kept.add(block);
            if (kept.size() > 500) kept.subList(0, 250).clear();
            sum += block.length + block[i % block.length];
        }
        return sum;
    }
    static int faults(int n) {
        int caught = 0;
        int[] array = new int[10];
        for (int i = 0; i < n; i++) {
            try {
                if (i % 4 == 0) {
                    String s = i % 8 == 0 ? null : "text";
                    caught += s.length() > 9 ? 1 : 0;
                }
                else if (i % 4 == 1) array[i % 13]++;
                else if (i % 4 == 2) caught += 100 / (i % 6 - 2);
                else { Object o = i % 3 == 0 ? "x" : (Object) i; caught += ((Integer) o) % 2; }
            } catch (NullPointerException | IndexOutOfBoundsException | ArithmeticException
                     | ClassCastException e) { caught += 3; }
        }
        return caught;
    }
    public static void main(String[] arguments) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(6);
        List<Future<Long>> results = new ArrayList<>();
        for (int t = 0; t < 12; t++) {
            final int seed = t;
            results.add(pool.submit(() -> {
                for (int i = 0; i < 5000; i++)
                    map.computeIfAbsent("key" + i % 97, k -> new AtomicLong()).addAndGet(i ^ seed);
                for (int i = 0; i < 2000; i++) add(i);
                return churn(seed);
            }));
        }
        long sum = 0;
        for (Future<Long> f : results) sum += f.get();
        pool.shutdown();
        System.out.println(sum + " " + shared + " "
            + map.values().stream().mapToLong(AtomicLong::get).sum());
        System.out.println(faults(200000));
        int deep = 0;
        for (int i = 0; i < 5; i++) try { depth(0); } catch (StackOverflowError e) { deep++; }
        System.out.println("overflows " + deep);
        System.out.println(IntStream.range(0, 2000000).parallel().filter(i -> i % 7 == 3)
            .asLongStream().sum());
        System.out.println(Stream.iterate(1.0, x -> x * 1.0001).limit(20000).map(Math::sin)
            .mapToDouble(d -> d).sum());
        System.out.println(String.join(",", Collections.nCopies(5, "ab")).replaceAll("b,", "-"));
        Thread[] waiting = new Thread[20];
        CountDownLatch latch = new CountDownLatch(1);
        AtomicInteger woken = new AtomicInteger();
        for (int i = 0; i < waiting.length; i++) {
            waiting[i] = new Thread(() -> {
                try {
                    latch.await();
                } catch (InterruptedException e) {
                    woken.addAndGet(100);
                }
                woken.incrementAndGet();
            });
            waiting[i].start();
        }
        waiting[3].interrupt();
        Thread.sleep(50);
        latch.countDown();
        for (Thread t : waiting) t.join();
        System.out.println("woken " + woken);
        System.gc();
        Process child = new ProcessBuilder("/bin/echo", "child").start();
        System.out.println(child.inputReader().readLine());
    }
}
