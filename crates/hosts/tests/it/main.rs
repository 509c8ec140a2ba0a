//! Hosts on real engines, and on such as fail.
#![cfg(test)]

mod states;
