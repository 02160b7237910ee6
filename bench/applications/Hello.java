// SPDX-License-Identifier: Apache-2.0
/** The least that a Java program does: what the virtual machine needs to start. */
public class Hello {
    public static void main(String[] arguments) {
        System.out.println("hello");
    }
}
