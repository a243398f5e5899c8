//! Starts a program with secrets that never touch a disk or its output.
//!
//! It reads no secret itself: the verb `run` does, and hands the values over. What surprises: a program gets a file
//! for each secret unless variables are asked for, because variables are inherited by all that it starts.

pub(crate) mod child;
pub(crate) mod env_file;
pub(crate) mod folder;
pub(crate) mod forms;
pub(crate) mod mask;
pub(crate) mod reference;
