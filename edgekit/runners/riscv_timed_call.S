/* SPDX-License-Identifier: Apache-2.0 */
/* timed_call.S for RISC-V. */
#define STACK_PAINT 0x5EAC5EAC /* as in firmware_main.c */

        .section .text.ek_timed_call, "ax", @progbits
        .global ek_timed_call
        .type ek_timed_call, @function
ek_timed_call:
        addi sp, sp, -16
        sw ra, 12(sp)
        la t0, ek_call_stack
        sw sp, 0(t0)
        la t0, ek_stack_bottom
        li t1, STACK_PAINT
.Lpaint:
        bgeu t0, sp, .Lstart
        sw t1, 0(t0)
        addi t0, t0, 4
        j .Lpaint
.Lstart:
        nop
.Lstarted:
        call EK_ENTRY
.Lstop:
        nop
.Lstopped:
        lw ra, 12(sp)
        addi sp, sp, 16
        ret
        .size ek_timed_call, . - ek_timed_call

/* kind, first address, end address, value; kinds as in plugin.py: 0 starts, 1 stops */
        .section .ek_marks, "", @progbits
        .4byte 0, .Lstart, .Lstarted, 0
        .4byte 1, .Lstop, .Lstopped, 0
