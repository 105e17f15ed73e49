/*
 * pci.c - configuration space by ports (PCI Local Bus 3.0, 3.2.2.3.2): an address to one, the data at the other.
 */
#include "arch/x86_64/internal.h"

#define PCI_ADDRESS 0xcf8
#define PCI_DATA    0xcfc
#define PCI_ENABLE  0x80000000u

static spinlock_t lock; /* from the address to the data */

static uint32_t address(unsigned bus, unsigned device, unsigned function, unsigned offset)
{
	return PCI_ENABLE | bus << 16 | device << 11 | function << 8 | (offset & 0xfc);
}

uint32_t arch_pci_read(unsigned bus, unsigned device, unsigned function, unsigned offset)
{
	irq_state_t state = spin_lock_irqsave(&lock);
	uint32_t value;

	outl(PCI_ADDRESS, address(bus, device, function, offset));
	value = inl(PCI_DATA);
	spin_unlock_irqrestore(&lock, state);
	return value;
}

void arch_pci_write(unsigned bus, unsigned device, unsigned function, unsigned offset,
                    uint32_t value)
{
	irq_state_t state = spin_lock_irqsave(&lock);

	outl(PCI_ADDRESS, address(bus, device, function, offset));
	outl(PCI_DATA, value);
	spin_unlock_irqrestore(&lock, state);
}
