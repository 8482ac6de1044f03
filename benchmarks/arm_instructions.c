// A plugin of QEMU 7.2 (user mode, ARM64): counts how often each block of instructions runs between
// two system calls of the program, and writes the counts to a file.
//
//     cc -O2 -shared -fPIC -o arm_instructions.so benchmarks/arm_instructions.c
//     qemu-aarch64 -plugin ./arm_instructions.so,out=blocks.txt,operator=538:d101c3ff:… …
//
// sched_get_priority_max starts the count, sched_get_priority_min ends it. Each line of the file has
// a block's address, how often it ran, its number of instructions, and these instructions, all but
// the two numbers in hexadecimal. A block that QEMU translated twice has two lines. Counts are right
// as long as a single thread of the program runs.
//
// `operator`, which may be repeated, gives a function that the program calls for each of its
// operators: the last three hexadecimal digits of its address, and its first instructions. A line
// with a single hyphen parts the counts of one call from those of the next. The counts before the
// first hyphen are of what runs before the first call.

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Debian's package has no header for plugins. These are the functions of the interface, version 1.
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*translated)(uint64_t id, struct qemu_plugin_tb *tb);
typedef void (*system_call)(uint64_t id, unsigned cpu, int64_t number, uint64_t, uint64_t, uint64_t,
                            uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, translated call);
void qemu_plugin_register_vcpu_syscall_cb(uint64_t id, system_call call);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
                                          void (*call)(unsigned cpu, void *data), int registers,
                                          void *data);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int operation,
                                              void *counter, uint64_t summand);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);

#define EXPORTED __attribute__((visibility("default")))
enum { ADD_U64 = 0, NO_REGISTERS = 0 };
enum { SCHED_GET_PRIORITY_MAX = 125, SCHED_GET_PRIORITY_MIN = 126 };
enum { PAGE = 0x1000 };
enum { MOST_ENTRIES = 8, MOST_WORDS = 16 };

EXPORTED int qemu_plugin_version = 1;

struct block {
    struct block *next;
    uint64_t runs;
    uint64_t runs_before;
    uint64_t address;
    size_t length;
    uint32_t instructions[];
};

static struct block *blocks;
static const char *output;
static FILE *file;  // open while the plugin counts

// Functions by their place in a page of memory, and by their first instructions.
static struct entry {
    uint64_t place;
    size_t length;
    uint32_t words[MOST_WORDS];
} entries[MOST_ENTRIES];
static size_t entry_count;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void write_counts(void) {
    for (struct block *block = blocks; block; block = block->next) {
        uint64_t runs = block->runs - block->runs_before;
        if (!runs) continue;
        block->runs_before = block->runs;
        fprintf(file, "%" PRIx64 " %" PRIu64 " %zu", block->address, runs, block->length);
        for (size_t i = 0; i < block->length; i++) fprintf(file, " %08x", block->instructions[i]);
        fputc('\n', file);
    }
}

static void start(void) {
    for (struct block *block = blocks; block; block = block->next) block->runs_before = block->runs;
    file = fopen(output, "w");
    if (!file) fail(output);
}

static void end(void) {
    if (!file) return;
    write_counts();
    if (fclose(file)) fail(output);
    file = NULL;
}

static void start_operator(unsigned cpu, void *data) {
    (void)cpu, (void)data;
    if (!file) return;
    write_counts();
    fputs("-\n", file);
}

static int is_at(const struct block *block, const struct entry *entry) {
    size_t length = block->length < entry->length ? block->length : entry->length;
    return block->address % PAGE == entry->place &&
           !memcmp(block->instructions, entry->words, length * sizeof entry->words[0]);
}

static void add_block(uint64_t id, struct qemu_plugin_tb *tb) {
    size_t length = qemu_plugin_tb_n_insns(tb);
    struct block *block = calloc(1, sizeof *block + length * sizeof block->instructions[0]);
    if (!block) fail("arm_instructions");
    block->address = qemu_plugin_tb_vaddr(tb);
    block->length = length;
    for (size_t i = 0; i < length; i++) {
        const void *data = qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i));
        memcpy(&block->instructions[i], data, sizeof block->instructions[i]);
    }
    block->next = blocks;
    blocks = block;
    for (size_t i = 0; i < entry_count; i++)
        if (is_at(block, &entries[i]))
            qemu_plugin_register_vcpu_tb_exec_cb(tb, start_operator, NO_REGISTERS, NULL);
    qemu_plugin_register_vcpu_tb_exec_inline(tb, ADD_U64, &block->runs, 1);
    (void)id;
}

static void watch(uint64_t id, unsigned cpu, int64_t number, uint64_t a, uint64_t b, uint64_t c,
                  uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
    if (number == SCHED_GET_PRIORITY_MAX) start();
    if (number == SCHED_GET_PRIORITY_MIN) end();
    (void)id, (void)cpu, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
}

static void read_entry(const char *numbers) {
    struct entry *entry = &entries[entry_count++];
    char *rest;
    entry->place = strtoul(numbers, &rest, 16);
    while (*rest && entry->length < MOST_WORDS)
        entry->words[entry->length++] = strtoul(rest + 1, &rest, 16);
}

EXPORTED int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "out=", 4)) output = strdup(argv[i] + 4);
        if (!strncmp(argv[i], "operator=", 9) && entry_count < MOST_ENTRIES)
            read_entry(argv[i] + 9);
    }
    if (!output) {
        fputs("arm_instructions: expected out=FILE\n", stderr);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, add_block);
    qemu_plugin_register_vcpu_syscall_cb(id, watch);
    (void)info;
    return 0;
}
