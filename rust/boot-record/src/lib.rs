//! boot-record
