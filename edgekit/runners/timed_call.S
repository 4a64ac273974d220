/* SPDX-License-Identifier: Apache-2.0 */
/* int32_t ek_timed_call(arguments of EK_ENTRY): calls it between the marks that start and stop counting.
 *
 * Before the call, all free stack is painted with STACK_PAINT, and ek_call_stack is set to the stack
 * pointer; in C, where the prologue stands relative to the painting would be up to the compiler. The marks are nops whose addresses are listed in
 * .ek_marks; the counted region is the call instruction and everything until the callee has returned. */
#define STACK_PAINT 0x5EAC5EAC /* as in firmware_main.c */

        .syntax unified
        .thumb
        .section .text.ek_timed_call, "ax", %progbits
        .global ek_timed_call
        .type ek_timed_call, %function
        .thumb_func
ek_timed_call:
        push {r4-r6, lr}
        ldr r4, =ek_call_stack
        mov r5, sp
        str r5, [r4]
        ldr r4, =ek_stack_bottom
        ldr r6, =STACK_PAINT
.Lpaint:
        cmp r4, r5
        bhs .Lstart
        stmia r4!, {r6}
        b .Lpaint
.Lstart:
        nop
.Lstarted:
        bl EK_ENTRY
.Lstop:
        nop
.Lstopped:
        pop {r4-r6, pc}
        .ltorg
        .size ek_timed_call, . - ek_timed_call

/* kind, first address, end address, value; kinds as in plugin.py: 0 starts, 1 stops */
        .section .ek_marks, "", %progbits
        .4byte 0, .Lstart, .Lstarted, 0
        .4byte 1, .Lstop, .Lstopped, 0
