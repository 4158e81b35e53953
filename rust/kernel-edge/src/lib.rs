//! kernel-edge
