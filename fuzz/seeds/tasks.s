# A program with what discovery looks for, in as little code as it takes: task vtables, a waker vtable,
# exchanges of a task's state word, a bind, an abort. It is never run.
        .macro function name
        .globl \name
        .type \name, @function
\name:
        .cfi_startproc
        .endm
        .macro end name
        .cfi_endproc
        .size \name, . - \name
        .endm
        # %rax: the state word. %rdi: the header. The operation makes the new word in %rcx.
        .macro exchange operation:vararg
        mov (%rdi), %rax
9:      mov %rax, %rcx
        \operation
        lock cmpxchg %rcx, (%rdi)
        jne 9b
        .endm

        .text
        .macro task number
        function _ZN5tokio7runtime4task3raw4poll17h000000000000000\number\()E
        push %rbx
        mov %rdi, %rbx
        exchange and $-8, %rcx
        lea wakers(%rip), %rsi
        call _ZN3svc8request\number\()28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE
        mov %rbx, %rdi
        exchange xor $3, %rcx
        call *(got + 8)(%rip)
        pop %rbx
        ret
        end _ZN5tokio7runtime4task3raw4poll17h000000000000000\number\()E
        function _ZN3svc8request\number\()28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE
        mov $\number, %eax
        ret
        end _ZN3svc8request\number\()28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE
        function dealloc_\number
        jmp _ZN4core3ptr78drop_in_place$LT$tokio..runtime..task..core..Cell$LT$svc..request\number\()$C$S$GT$$GT$17h0123456789abcdefE
        end dealloc_\number
        function _ZN4core3ptr78drop_in_place$LT$tokio..runtime..task..core..Cell$LT$svc..request\number\()$C$S$GT$$GT$17h0123456789abcdefE
        ud2
        end _ZN4core3ptr78drop_in_place$LT$tokio..runtime..task..core..Cell$LT$svc..request\number\()$C$S$GT$$GT$17h0123456789abcdefE
        function shutdown_\number
        sub $24, %rsp
        mov %rdi, 8(%rsp)
        exchange or $32, %rcx
        mov 8(%rsp), %rdi
        add $24, %rsp
        jmp dealloc_\number
        end shutdown_\number
        .endm
        task 1
        task 2
        task 3

        function schedule
        ret
        end schedule
        function read_output
        cmp $7, %esi
        ja 1f
        lea table(%rip), %rax
        movslq (%rax, %rsi, 4), %rcx
        add %rax, %rcx
        jmp *%rcx
1:      ret
2:      mov %rdi, %rax
        ret
        end read_output
        function _ZN5tokio7runtime4task5waker11wake_by_val17h0123456789abcdefE
        exchange or $4, %rcx
        ret
        end _ZN5tokio7runtime4task5waker11wake_by_val17h0123456789abcdefE
        function _ZN5tokio7runtime4task5waker11wake_by_ref17h0123456789abcdefE
        push %rbp
        mov %rsp, %rbp
        exchange lea 0x44(%rax), %rcx
        pop %rbp
        ret
        end _ZN5tokio7runtime4task5waker11wake_by_ref17h0123456789abcdefE
        function bind_inner
        push %rbx
        mov 0x10(%rsi), %rax
        mov 0x48(%rax), %rcx
        mov %rdx, 0x18(%rsi)
        mov (%rsi, %rcx), %rbx
        pop %rbx
        ret
        end bind_inner
        function abort
        mov (%rdi), %rax
1:      mov %rax, %rcx
        or $0x24, %rcx
        add $0x40, %rcx
        lock cmpxchg %rcx, (%rdi)
        jne 1b
        ret
        end abort
        function _start
        lea tasks(%rip), %rdi
        mov got(%rip), %rax
        jmp *%rax
        end _start

        .section .rodata
        .ascii "/registry/src/tokio-1.47.1/src/runtime/task/mod.rs"
        .balign 4
table:  .long 1b - table, 2b - table
2:

        .section .data.rel.ro, "aw"
        .balign 8
tasks:
        .macro vtable number
        .quad _ZN5tokio7runtime4task3raw4poll17h000000000000000\number\()E, schedule, dealloc_\number, read_output
        .quad schedule, schedule, shutdown_\number, 0x60, 0x20, 0x28
        .endm
        vtable 1
        vtable 2
        vtable 3
wakers: .quad schedule, _ZN5tokio7runtime4task5waker11wake_by_val17h0123456789abcdefE, _ZN5tokio7runtime4task5waker11wake_by_ref17h0123456789abcdefE, schedule
got:    .quad bind_inner, abort
