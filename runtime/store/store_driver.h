/* State in SQLite and memory: the implementation of engine/store.h. */
#ifndef TIDEMILL_STORE_STORE_DRIVER_H
#define TIDEMILL_STORE_STORE_DRIVER_H

#include "engine/store.h"

extern const struct store_driver sqlite_store_driver;

#endif
