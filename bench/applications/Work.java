// SPDX-License-Identifier: Apache-2.0
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.function.LongUnaryOperator;
import java.util.stream.LongStream;

/**
 * Work SCALE: the Java rows of bench. Each is short, as most runs of Java programs are,
 * so that interpreting, compiling and collecting are in it. Prints as programs/main.c.
 */
public class Work {
    private static long random(long state) {
        state ^= state >>> 12;
        state ^= state << 25;
        state ^= state >>> 27;
        return state;
    }

    private static long sort(long scale) {
        long sum = 0;
        long state = 1;
        for (long round = 0; round < scale; round++) {
            int[] values = new int[40_000];
            for (int i = 0; i < values.length; i++) {
                state = random(state);
                values[i] = (int) state;
            }
            Arrays.sort(values);
            sum = sum * 31 + values[values.length / 3];
        }
        return sum;
    }

    private static long maps(long scale) {
        Map<String, Integer> counts = new HashMap<>();
        long state = 2;
        for (long i = 0; i < scale * 8000; i++) {
            state = random(state);
            counts.merge("key" + (state & 0xfff), 1, Integer::sum);
        }
        long sum = counts.size();
        for (var entry : counts.entrySet())
            sum += entry.getKey().hashCode() * (long) entry.getValue();
        return sum;
    }

    private static long text(long scale) {
        StringBuilder all = new StringBuilder();
        for (long i = 0; i < scale * 3000; i++)
            all.append(i * i).append(i % 7 == 0 ? '\n' : ' ');
        long sum = 0;
        for (String line : all.toString().split("\n")) {
            for (String word : line.split(" "))
                sum = sum * 31 + Long.parseLong(word);
        }
        return sum;
    }

    private static final class Node {
        private final Node left;
        private final Node right;

        Node(int depth) {
            left = depth > 0 ? new Node(depth - 1) : null;
            right = depth > 0 ? new Node(depth - 1) : null;
        }

        long count() {
            return left == null ? 1 : 1 + left.count() + right.count();
        }
    }

    private static long objects(long scale) {
        var kept = new ArrayList<Node>();
        long sum = 0;
        for (long round = 0; round < scale * 2; round++) {
            Node tree = new Node(13);
            sum += tree.count();
            if (round % 4 == 0)
                kept.add(tree);
        }
        return sum * 31 + kept.size();
    }

    private static long streams(long scale) {
        return LongStream.range(0, scale * 30_000).filter(value -> value % 3 != 0)
            .map(value -> value * value ^ value >>> 3).boxed().mapToLong(Long::longValue).sum();
    }

    private static double series(long count) {
        double sum = 0;
        for (long i = 1; i < count; i++)
            sum += Math.sqrt(i) / (i + 0.5) * ((i & 1) == 0 ? 1 : -1);
        return sum;
    }

    private static void row(String name, LongUnaryOperator work, long scale) {
        long begin = System.nanoTime();
        long sum = work.applyAsLong(scale);
        double seconds = (System.nanoTime() - begin) / 1e9;
        System.out.println(String.format("bench java-%s %016x %.6f", name, sum, seconds));
    }

    public static void main(String[] arguments) {
        long scale = Long.parseLong(arguments[0]);
        row("sort", Work::sort, scale);
        row("maps", Work::maps, scale);
        row("text", Work::text, scale);
        row("objects", Work::objects, scale);
        row("streams", Work::streams, scale);
        row("double", size -> Double.doubleToLongBits(series(size * 300_000)), scale);
    }
}
