// Puts one fault back into hakmem, by its number in hakmem/tiny/seeded_faults.h.
extern "C" {
extern const int hakmem_seeded_fault;
// Read through a weak reference; kept when nothing else of this file is used.
__attribute__((used, visibility("default"))) const int hakmem_seeded_fault = HAKMEM_SEED_FAULT;
}
