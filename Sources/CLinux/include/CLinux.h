// What Swift cannot import, by subject. Every function is a thin, allocation-free wrapper.
#pragma once
#include "CLinuxThreads.h"
#include "CLinuxLaunch.h"
