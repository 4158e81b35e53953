//! boot-formats
