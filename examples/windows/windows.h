/* SPDX-License-Identifier: MIT */
#include <writewatch/winapi.h>
