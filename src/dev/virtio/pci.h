/* SPDX-License-Identifier: Apache-2.0
 * virtio over PCI, modern and without MSI-X (virtio 1.2, section 4.1). */
#pragma once

#include "dev/pci/host.h"
#include "dev/virtio/device.h"

struct virtio_pci {
    struct pci_function function;
    uint32_t device_features_select;
    uint32_t driver_features_select;
    uint16_t queue_select;
    uint16_t access_at; /* offset of the PCI configuration access capability */
    struct virtio_device *device;
};

/* Puts `device` behind a PCI function at `slot` of `host`. Both outlive the
 * transport. */
void virtio_pci_init(struct virtio_pci *transport, struct virtio_device *device,
                     struct pci_host *host, unsigned slot);

/* Object: struct virtio_pci, with its configuration space; list the virtio
 * device too. */
extern const struct device_ops virtio_pci_ops;
