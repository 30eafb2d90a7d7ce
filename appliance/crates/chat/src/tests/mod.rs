//! Behaviour of the core, through its inputs and outputs only.

mod commands;
mod copy;
mod crowd;
mod delivery;
mod durability;
mod harness;
mod history;
mod property;
mod web;
