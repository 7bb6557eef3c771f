//! The waker vtable that poll functions share.

use super::image::{CODE, DATA, Image, Pointers, STEP, Word};
use crate::{addr::ElfAddr, code::x86_64::waker, image::elf::Elf};

#[test]
fn wakers() {
    /// Two tables of four functions at words 0 and 4, one of three at word 8.
    fn image() -> Vec<u8> {
        let data = (0..11).map(|word| Word::Function(word % 8)).chain([Word::Plain(1)]).collect();
        Image { data, ..Image::of_functions(Pointers::Rela, 8) }.bytes()
    }
    let bytes = image();
    let elf = Elf::parse(&bytes).unwrap();
    let check_whether = |wakes: bool, mentioned: &[&[u64]], expected: Option<u64>| {
        let mentioned: Vec<Vec<ElfAddr>> =
            mentioned.iter().map(|words| words.iter().map(|word| ElfAddr(DATA + word * 8)).collect()).collect();
        let found = waker::find(&elf, &mentioned, |_| wakes);
        assert_eq!(found.map(|waker| waker.address), expected.map(|word| ElfAddr(DATA + word * 8)), "{mentioned:?}");
        if let (Some(waker), Some(word)) = (found, expected) {
            let function = |place: u64| ElfAddr(CODE + (word + place) % 8 * STEP);
            assert_eq!((waker.wake_by_val, waker.wake_by_ref), (function(1), function(2)));
        }
    };
    let check = |mentioned: &[&[u64]], expected| check_whether(false, mentioned, expected);
    check(&[], None);
    check(&[&[]], None);
    check(&[&[0]], Some(0));
    check(&[&[0], &[0]], Some(0));
    check(&[&[0, 4], &[0]], Some(0));
    check(&[&[0, 4], &[4]], Some(4));
    check(&[&[0, 4]], None); // as often
    check(&[&[0, 4], &[0, 4]], None);
    check(&[&[0], &[4]], None);
    check(&[&[0], &[]], None); // half of them is no proof
    check(&[&[0], &[0], &[]], Some(0));
    check(&[&[4, 4, 4], &[0], &[0]], Some(0)); // one function mentions it often
    check_whether(true, &[&[0], &[], &[]], Some(0)); // few mention it, but it wakes
    check_whether(true, &[&[0], &[4], &[]], None);
    check(&[&[8]], None); // three functions
    check(&[&[9], &[1 << 40], &[11]], None); // two functions, nowhere, a number
}
