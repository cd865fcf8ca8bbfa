#!/bin/sh
# A stand-in for the vendor's policy: no service is started while packages are installed.
exit 101
