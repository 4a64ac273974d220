/* SPDX-License-Identifier: Apache-2.0 */
/* Initializers with member names, in C and in C++. */
#ifndef EK_MEMBER_H
#define EK_MEMBER_H

/* Names a member in an initializer. C++ has learned that in 2020; before, the place counts. */
#if defined(__cplusplus) && __cplusplus < 202002L
#define EK_MEMBER(name)
#else
#define EK_MEMBER(name) .name =
#endif

#endif
