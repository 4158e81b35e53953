// SPDX-License-Identifier: MIT OR Apache-2.0
// An init that says when it was executed and switches the machine off: `@MARK: TIME FREE`, two numbers of 16 hexadecimal
// digits each: CLOCK_MONOTONIC in nanoseconds, which starts with the kernel's clock, and the free memory in bytes (sysinfo(2)).
// One page and no library: it adds nothing to what it measures.

    .set    SYS_write, 64
    .set    SYS_clock_gettime, 113
    .set    CLOCK_MONOTONIC, 1
    .set    SYS_reboot, 142
    .set    SYS_sysinfo, 179
    .set    FREERAM, 40             // offset in struct sysinfo of linux/sysinfo.h
    .set    SYSINFO, 128            // its size, rounded up

    .global _start
    .text
_start:
    sub     sp, sp, #SYSINFO
    mov     x0, #CLOCK_MONOTONIC
    mov     x1, sp
    mov     x8, #SYS_clock_gettime
    svc     #0
    ldp     x20, x21, [sp]          // struct timespec
    ldr     x22, =1000000000
    madd    x20, x20, x22, x21
    mov     x0, sp
    mov     x8, #SYS_sysinfo
    svc     #0
    ldr     x22, [sp, #FREERAM]

    sub     sp, sp, #64
    mov     x3, sp
    adr     x1, prefix
    ldr     x4, [x1]
    str     x4, [x3], #8
    mov     x5, x20
    bl      number
    mov     x5, x22
    bl      number
    mov     w4, #'\n'
    strb    w4, [x3], #1
    mov     x0, #1
    mov     x1, sp
    sub     x2, x3, x1
    mov     x8, #SYS_write
    svc     #0

    ldr     x0, =0xfee1dead         // LINUX_REBOOT_MAGIC1
    ldr     x1, =0x28121969         // LINUX_REBOOT_MAGIC2
    ldr     x2, =0x4321fedc         // LINUX_REBOOT_CMD_POWER_OFF
    mov     x3, #0
    mov     x8, #SYS_reboot
    svc     #0
1:  b       1b

// Appends x5 at x3: 16 digits and a space.
number:
    mov     x6, #60
2:  lsr     x7, x5, x6
    and     x7, x7, #15
    add     x9, x7, #'0'
    add     x10, x7, #'a' - 10
    cmp     x7, #10
    csel    x7, x9, x10, lo
    strb    w7, [x3], #1
    subs    x6, x6, #4
    b.ge    2b
    mov     w4, #' '
    strb    w4, [x3], #1
    ret

    .balign 8
prefix:
    .ascii  "\n@MARK: "
