// What Swift cannot import, by subject. Every function is a thin, allocation-free wrapper.
#pragma once
#include "CLinuxChecksum.h"
#include "CLinuxConfinement.h"
#include "CLinuxDevices.h"
#include "CLinuxLaunch.h"
#include "CLinuxReports.h"
#include "CLinuxSockets.h"
#include "CLinuxTerminal.h"
#include "CLinuxThreads.h"
#include "CLinuxVhost.h"
#include "CLinuxXDP.h"
