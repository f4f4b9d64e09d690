//! Layers, as the kernel makes them and as a killed process leaves them.

mod crash;
mod overlay;
mod support;
