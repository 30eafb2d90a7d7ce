//! Prints the picture of the code list, which lies beside the sources as `patterns.svg`.

fn main() {
    print!("{}", linnet_led::picture());
}
