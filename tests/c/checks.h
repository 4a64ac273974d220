/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs share that call a model as its header says, in memory of exactly its size. */
#ifndef CHECKS_H
#define CHECKS_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                           \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                              \
      exit(1);                                                                                     \
    }                                                                                              \
  } while (0)

/* Memory of no more bytes than asked for: a sanitizer sees what goes beyond. */
static inline void *allocate(size_t bytes, size_t align) {
  void *memory = NULL;
  CHECK(posix_memalign(&memory, align < sizeof(void *) ? sizeof(void *) : align, bytes) == 0);
  return memory;
}

#endif
