//! Status LED: patterns (pure) and the rppal driver.
