// hakmem's names beside the C library's malloc: what a switched-off allocator looks like.
extern "C" {
const char* hak_version() { return "hakmem name_only"; }
int hak_owns(const void*) { return 1; }
}
