// SPDX-License-Identifier: Apache-2.0
//
// What every Verilated unit includes, for the Makefile, which compiles it once for all of them.

#ifndef TP_HEADERS_H
#define TP_HEADERS_H

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "verilated.h"

#endif
