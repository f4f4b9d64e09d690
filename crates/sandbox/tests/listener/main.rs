//! What the init does with the calls that the filter hands to it, tried with system calls as they are.

#![cfg(target_os = "linux")]

mod sys;
