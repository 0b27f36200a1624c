// What hakmem knows of itself, in the forms that programs ask for.
#ifndef HAKMEM_API_STATISTICS_H_
#define HAKMEM_API_STATISTICS_H_

#include <malloc.h>
#include <stdio.h>

namespace hakmem {

// Prints statistics as text, or as one JSON object, to a descriptor. Allocates nothing; thread-safe; numbers of running
// threads are a moment old.
void PrintStatistics(int fd, bool as_json);

// mallinfo(3). `uordblks` counts memory of slabs in use, not single blocks, which the hit paths do not count.
struct mallinfo2 MallocInfo2();

// malloc_info(3): well-formed XML. -1 with errno EINVAL when `options` is not 0.
int MallocInfoXml(int options, FILE* stream);

}  // namespace hakmem

#endif  // HAKMEM_API_STATISTICS_H_
