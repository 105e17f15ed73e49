/*
 * bootmem.h - boot words about the shape of memory.
 */
#ifndef KERNEL_BOOTMEM_H
#define KERNEL_BOOTMEM_H

/* Fill machine()->config; before mm_init(). */
void boot_frame_config(void);

#endif
