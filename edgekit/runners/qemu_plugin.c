/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU plugin: exact instruction counts per address and per layer between marks, and modelled
 * cycles.
 *
 * Arguments: config=FILE (read once), out=FILE (written whenever a region stops).
 * config, one entry per line, numbers in hexadecimal:
 *   code BASE BYTES                   the addresses that are counted one by one
 *   mark KIND START END VALUE         instructions in [START, END) are marks and not counted; KIND
 * 0 starts a region, 1 stops it, 2 begins layer VALUE, 3 begins the layer (address of a load) -
 * (VALUE + 4); layer ffffffff is glue model m4|m7                       which cost model to run,
 * none without this line insn ADDRESS BYTES CLASS REGISTERS LATENCY SOURCES DESTINATIONS   cost
 * table, see cycle_table.py out: "total INSTRUCTIONS CYCLES", "outside INSTRUCTIONS", "layer INDEX
 * INSTRUCTIONS CYCLES" (glue is -1) and "pc ADDRESS INSTRUCTIONS", decimal but for the address.
 *
 * Every instruction has its own 64-bit counter, raised by code that QEMU generates inline. A
 * layer's share is what the sum of the counters grew by, so overlapping translation blocks do not
 * matter. The plugin API is version 1 (QEMU 4.2 to 8.2), declared by hand: its header needs QEMU's
 * sources. */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct qemu_info_t qemu_info_t;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
enum qemu_plugin_mem_rw { QEMU_PLUGIN_MEM_RW = 3 };
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
typedef void (*translate_callback)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*execute_callback)(unsigned int, void *);
typedef void (*memory_callback)(unsigned int, qemu_plugin_meminfo_t, uint64_t, void *);

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translate_callback);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, execute_callback,
                                                   enum qemu_plugin_cb_flags, void *);
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *,
                                                       enum qemu_plugin_op, void *, uint64_t);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, memory_callback,
                                             enum qemu_plugin_cb_flags, enum qemu_plugin_mem_rw,
                                             void *);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);

EXPORTED int qemu_plugin_version = 1;

enum { MARK_START, MARK_STOP, MARK_LAYER, MARK_LAYER_LOAD };
enum { GLUE = 0, LAYER_SLOTS = 1 << 16 }; /* layer i has slot i + 1 */
typedef enum {
  ALU,
  MULTIPLY,
  LOAD,
  LOAD_MANY,
  STORE,
  STORE_MANY,
  BRANCH,
  DIVIDE,
  FLOAT
} insn_class;

typedef struct {
  uint64_t kind, start, end, value;
} mark;

typedef struct {
  uint32_t address, bytes, class, registers, latency, sources, destinations;
} insn_cost;

typedef struct {
  uint64_t instructions, cycles;
} layer_count;

static uint64_t code_base, code_bytes;
static mark *marks;
static size_t mark_count;
static uint64_t *current,
    *accumulated;      /* per halfword of the code; current: since the region began */
static uint32_t *used; /* halfword numbers that were translated */
static size_t used_count;
static bool *is_used;
static uint64_t outside_current, outside;
static bool counting;
static uint32_t layer; /* slot */
static uint64_t seen_instructions, seen_cycles;
static layer_count layers[LAYER_SLOTS + 1];
static char output_name[4096];

static insn_cost **costs; /* per halfword */
static insn_cost unknown_cost = {0, 4, ALU, 1, 1, 0, 0};
static void (*spend)(const insn_cost *, bool);
static const insn_cost *previous;
static uint32_t next_address;
static uint64_t cycles;

/* Cortex-M4: one instruction at a time, Technical Reference Manual table 3-1 without wait states.
 */
static void spend_m4(const insn_cost *insn, bool taken) {
  const bool after_load = previous != NULL && previous->class == LOAD && !taken;
  if (taken)
    cycles += previous->class == BRANCH ? 1 : 2;
  switch ((insn_class)insn->class) {
  case LOAD:
    cycles += after_load && (previous->destinations & insn->sources) == 0 ? 1 : 2;
    break;
  case LOAD_MANY:
  case STORE_MANY:
    cycles += 1 + insn->registers - (after_load ? 1 : 0);
    break;
  case DIVIDE:
    cycles += insn->latency;
    break;
  default:
    cycles += 1;
  }
}

/* Cortex-M7: two in-order slots, of which one may multiply, one use memory and one branch. */
static struct {
  uint64_t ready[32];
  uint32_t slots, multiplies, memory, branches;
} m7;

static void m7_start_cycle(uint64_t cycle) {
  cycles = cycle;
  m7.slots = m7.multiplies = m7.memory = m7.branches = 0;
}

static uint64_t m7_operands_ready(const insn_cost *insn) {
  uint64_t ready = cycles;
  for (uint32_t rest = insn->sources; rest != 0; rest &= rest - 1) {
    const int number = __builtin_ctz(rest);
    uint64_t cycle = m7.ready[number];
    const bool accumulator = (insn->destinations >> number & 1u) != 0;
    if (insn->class == MULTIPLY && accumulator && cycle > 0)
      cycle -= 1; /* accumulators are forwarded */
    ready = cycle > ready ? cycle : ready;
  }
  return ready;
}

static void spend_m7(const insn_cost *insn, bool taken) {
  if (taken)
    m7_start_cycle(cycles + 1);
  const uint64_t ready = m7_operands_ready(insn);
  if (ready > cycles)
    m7_start_cycle(ready);
  const bool many = insn->class == LOAD_MANY || insn->class == STORE_MANY;
  const bool memory = many || insn->class == LOAD || insn->class == STORE;
  if (m7.slots >= 2 || (insn->class == MULTIPLY && m7.multiplies > 0) ||
      (memory && m7.memory > 0) || (insn->class == BRANCH && m7.branches > 0))
    m7_start_cycle(cycles + 1);
  m7.slots++;
  m7.multiplies += insn->class == MULTIPLY;
  m7.memory += memory;
  m7.branches += insn->class == BRANCH;
  for (uint32_t rest = insn->destinations; rest != 0; rest &= rest - 1)
    m7.ready[__builtin_ctz(rest)] = cycles + insn->latency;
  if (many && insn->registers > 2) { /* 64 bits per cycle */
    m7_start_cycle(cycles + (insn->registers + 1) / 2 - 1);
    m7.slots = m7.memory = 1;
  }
}

static void on_instruction(unsigned int cpu, void *data) {
  (void)cpu;
  if (!counting)
    return;
  const insn_cost *insn = data;
  spend(insn, previous != NULL && insn->address != next_address);
  previous = insn;
  next_address = insn->address + insn->bytes;
}

static uint64_t counted_instructions(void) {
  uint64_t sum = outside_current;
  for (size_t i = 0; i < used_count; i++)
    sum += current[used[i]];
  return sum;
}

static void close_layer(void) {
  const uint64_t instructions = counted_instructions();
  layers[layer].instructions += instructions - seen_instructions;
  layers[layer].cycles += cycles - seen_cycles;
  seen_instructions = instructions;
  seen_cycles = cycles;
}

static void begin_layer(uint32_t slot) {
  close_layer();
  layer = slot <= LAYER_SLOTS ? slot : LAYER_SLOTS; /* the reader refuses that one */
}

static void start_region(void) {
  for (size_t i = 0; i < used_count; i++)
    current[used[i]] = 0;
  outside_current = seen_instructions = seen_cycles = cycles = 0;
  memset(&m7, 0, sizeof m7);
  previous = NULL;
  layer = GLUE;
  counting = true;
}

static void write_counts(void) {
  FILE *out = fopen(output_name, "w");
  if (out == NULL)
    return;
  layer_count total = {0, 0};
  for (size_t i = 0; i <= LAYER_SLOTS; i++) {
    total.instructions += layers[i].instructions;
    total.cycles += layers[i].cycles;
    if (layers[i].instructions > 0)
      fprintf(out, "layer %ld %" PRIu64 " %" PRIu64 "\n", (long)i - 1, layers[i].instructions,
              layers[i].cycles);
  }
  for (size_t i = 0; i < used_count; i++)
    if (accumulated[used[i]] > 0)
      fprintf(out, "pc %" PRIx64 " %" PRIu64 "\n", code_base + 2 * (uint64_t)used[i],
              accumulated[used[i]]);
  fprintf(out, "outside %" PRIu64 "\n", outside);
  fprintf(out, "total %" PRIu64 " %" PRIu64 "\n", total.instructions, total.cycles);
  fclose(out);
}

static void stop_region(void) {
  if (!counting)
    return;
  close_layer();
  counting = false;
  for (size_t i = 0; i < used_count; i++)
    accumulated[used[i]] += current[used[i]];
  outside += outside_current;
  write_counts();
}

static void on_mark(unsigned int cpu, void *data) {
  (void)cpu;
  const mark *at = data;
  if (at->kind == MARK_START)
    start_region();
  else if (at->kind == MARK_STOP)
    stop_region();
  else if (counting && at->kind == MARK_LAYER)
    begin_layer((uint32_t)at->value + 1);
  if (next_address == at->start) /* for the cost model the mark is not there */
    next_address = (uint32_t)at->end;
}

static void on_layer_load(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address,
                          void *data) {
  (void)cpu;
  (void)info;
  const mark *at = data;
  if (counting)
    begin_layer((uint32_t)(address - (at->value + 4)) + 1);
}

static mark *find_mark(uint64_t address) {
  for (size_t i = 0; i < mark_count; i++)
    if (marks[i].start <= address && address < marks[i].end)
      return &marks[i];
  return NULL;
}

static void translate_mark(struct qemu_plugin_insn *insn, uint64_t address, mark *at) {
  if (address == at->start)
    qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, QEMU_PLUGIN_CB_NO_REGS, at);
  if (at->kind == MARK_LAYER_LOAD &&
      address == at->value + 2) /* QEMU 7.2 never calls back for MEM_R */
    qemu_plugin_register_vcpu_mem_cb(insn, on_layer_load, QEMU_PLUGIN_CB_NO_REGS,
                                     QEMU_PLUGIN_MEM_RW, at);
}

static void translate_counted(struct qemu_plugin_insn *insn, uint64_t address) {
  uint64_t *counter = &outside_current;
  insn_cost *cost = &unknown_cost;
  if (address - code_base < code_bytes) {
    const uint32_t halfword = (uint32_t)((address - code_base) / 2);
    if (!is_used[halfword]) {
      is_used[halfword] = true;
      used[used_count++] = halfword;
    }
    counter = &current[halfword];
    if (costs[halfword] != NULL)
      cost = costs[halfword];
  }
  qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64, counter, 1);
  if (spend != NULL)
    qemu_plugin_register_vcpu_insn_exec_cb(insn, on_instruction, QEMU_PLUGIN_CB_NO_REGS, cost);
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  (void)id;
  const size_t count = qemu_plugin_tb_n_insns(block);
  for (size_t i = 0; i < count; i++) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
    const uint64_t address = qemu_plugin_insn_vaddr(insn);
    mark *at = find_mark(address);
    if (at != NULL)
      translate_mark(insn, address, at);
    else
      translate_counted(insn, address);
  }
}

static bool allocate_counters(void) {
  const size_t halfwords = code_bytes / 2 + 1;
  current = calloc(halfwords, sizeof *current);
  accumulated = calloc(halfwords, sizeof *accumulated);
  used = calloc(halfwords, sizeof *used);
  is_used = calloc(halfwords, sizeof *is_used);
  costs = calloc(halfwords, sizeof *costs);
  return current != NULL && accumulated != NULL && used != NULL && is_used != NULL && costs != NULL;
}

static bool read_cost(const char *line) {
  insn_cost *cost = calloc(1, sizeof *cost);
  if (cost == NULL || costs == NULL ||
      sscanf(line, "insn %x %x %x %x %x %x %x", &cost->address, &cost->bytes, &cost->class,
             &cost->registers, &cost->latency, &cost->sources, &cost->destinations) != 7 ||
      cost->address - code_base >= code_bytes)
    return false;
  costs[(cost->address - code_base) / 2] = cost;
  return true;
}

static bool read_mark(const char *line) {
  mark at;
  if (sscanf(line, "mark %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64, &at.kind, &at.start,
             &at.end, &at.value) != 4)
    return false;
  mark *grown = realloc(marks, (mark_count + 1) * sizeof *marks);
  if (grown == NULL)
    return false;
  marks = grown;
  marks[mark_count++] = at;
  return true;
}

static bool read_line(const char *line) {
  if (strncmp(line, "code ", 5) == 0)
    return sscanf(line, "code %" SCNx64 " %" SCNx64, &code_base, &code_bytes) == 2 &&
           allocate_counters();
  if (strncmp(line, "mark ", 5) == 0)
    return read_mark(line);
  if (strncmp(line, "insn ", 5) == 0)
    return read_cost(line);
  if (strcmp(line, "model m4\n") == 0)
    spend = spend_m4;
  else if (strcmp(line, "model m7\n") == 0)
    spend = spend_m7;
  return spend != NULL;
}

static bool read_config(const char *name) {
  FILE *file = fopen(name, "r");
  if (file == NULL)
    return false;
  char line[256];
  bool valid = true;
  while (valid && fgets(line, sizeof line, file) != NULL)
    valid = read_line(line);
  fclose(file);
  return valid && costs != NULL;
}

EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                                 char **argv) {
  (void)info;
  bool configured = false;
  for (int i = 0; i < argc; i++) {
    if (strncmp(argv[i], "config=", 7) == 0)
      configured = read_config(argv[i] + 7);
    if (strncmp(argv[i], "out=", 4) == 0)
      snprintf(output_name, sizeof output_name, "%s", argv[i] + 4);
  }
  if (!configured || output_name[0] == '\0') {
    fprintf(stderr, "edgekit plugin: config= or out= is missing or malformed\n");
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
  return 0;
}
