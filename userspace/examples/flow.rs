use asyncscope::target::{addr::ElfAddr, elf::Elf, x86_64::{code::Code, flow}};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let d = std::fs::read(&a[1]).unwrap();
    let elf = Elf::parse(&d).unwrap();
    let code = Code::new(&elf);
    let f = flow::follow(&code, ElfAddr(u64::from_str_radix(&a[2], 16).unwrap()), 1);
    println!("{:#x?}", f.exchanges.keys().collect::<Vec<_>>());
    println!("reached {:x?} tail {:x?} exits {:x?}", f.reached, f.tail, f.exits.keys());
}
