//! Packages that a site adds: `cias-builder packages` finds and fetches them, `build` takes them from folders.

pub mod folders;

pub use folders::read_folders;
