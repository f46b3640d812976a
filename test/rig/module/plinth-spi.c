// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * An SPI bus with nothing on it, for the rig: bus 0 with one chip select, driven by the kernel's own spidev. What the
 * program under test sends can be read from /dev/plinth-spi, one record a transfer:
 *
 *   u32 length | u32 speed in Hz | u64 nanoseconds (CLOCK_MONOTONIC) | u8 D/C level | 7 bytes of nothing | the bytes
 *
 * all little-endian. A read gives whole records only, and 0 when there are none. While somebody has that file open, a
 * transfer ends when its record has been read, so that whoever reads can raise BUSY in time. D/C is the GPIO whose number
 * is `dc`. Nothing answers: what is received is 0xff.
 */
#include <linux/gpio.h>
#include <linux/gpio/consumer.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/spi/spi.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

/* More than the pictures of any check. */
#define QUEUED_MAX (8 << 20)
#define READ_JIFFIES HZ

struct record {
	__le32 length;
	__le32 speed;
	__le64 time;
	u8 dc;
	u8 nothing[7];
} __packed;

struct queued {
	struct list_head list;
	size_t size;
	struct record record; /* and the bytes after it */
};

static int dc = -1;
module_param(dc, int, 0644);

static LIST_HEAD(queue);
static size_t queued_bytes;
static DEFINE_MUTEX(queue_lock);
static DECLARE_WAIT_QUEUE_HEAD(was_read);
static atomic_t readers;
static struct platform_device *platform;
static struct spi_controller *controller;

static int bus_transfer(struct spi_controller *bus, struct spi_device *device, struct spi_transfer *transfer)
{
	struct gpio_desc *line = gpio_to_desc(dc);
	struct queued *entry;
	size_t size = sizeof(struct record) + transfer->len;

	entry = kzalloc(offsetof(struct queued, record) + size, GFP_KERNEL);
	if (!entry)
		return -ENOMEM;
	entry->size = size;
	entry->record.length = cpu_to_le32(transfer->len);
	entry->record.speed = cpu_to_le32(transfer->speed_hz);
	entry->record.time = cpu_to_le64(ktime_get_ns());
	entry->record.dc = line && gpiod_get_raw_value_cansleep(line) > 0;
	if (transfer->tx_buf)
		memcpy(&entry->record + 1, transfer->tx_buf, transfer->len);
	if (transfer->rx_buf)
		memset(transfer->rx_buf, 0xff, transfer->len);

	mutex_lock(&queue_lock);
	if (queued_bytes + size <= QUEUED_MAX) {
		list_add_tail(&entry->list, &queue);
		queued_bytes += size;
		entry = NULL;
	}
	mutex_unlock(&queue_lock);
	kfree(entry);
	wait_event_timeout(was_read, list_empty(&queue) || !atomic_read(&readers), READ_JIFFIES);
	return 0;
}

static void bus_select(struct spi_device *device, bool select)
{
}

static ssize_t recorder_read(struct file *file, char __user *to, size_t room, loff_t *at)
{
	struct queued *entry;
	ssize_t done = 0;

	mutex_lock(&queue_lock);
	while ((entry = list_first_entry_or_null(&queue, struct queued, list)) && done + entry->size <= room) {
		if (copy_to_user(to + done, &entry->record, entry->size)) {
			done = -EFAULT;
			break;
		}
		done += entry->size;
		queued_bytes -= entry->size;
		list_del(&entry->list);
		kfree(entry);
	}
	mutex_unlock(&queue_lock);
	wake_up(&was_read);
	return done;
}

static int recorder_open(struct inode *inode, struct file *file)
{
	atomic_inc(&readers);
	return 0;
}

static int recorder_release(struct inode *inode, struct file *file)
{
	atomic_dec(&readers);
	wake_up(&was_read);
	return 0;
}

static const struct file_operations recorder_operations = {
	.owner = THIS_MODULE,
	.open = recorder_open,
	.read = recorder_read,
	.release = recorder_release,
};
static struct miscdevice recorder = { .minor = MISC_DYNAMIC_MINOR, .name = "plinth-spi", .fops = &recorder_operations };

static int __init plinth_spi_init(void)
{
	/* spidev binds to names of real parts only. */
	struct spi_board_info board = { .modalias = "dh2228fv", .max_speed_hz = 125000000 };
	int error = -ENOMEM;

	platform = platform_device_register_simple("plinth-spi", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(platform))
		return PTR_ERR(platform);
	controller = spi_alloc_master(&platform->dev, 0);
	if (!controller)
		goto no_controller;
	controller->bus_num = 0;
	controller->num_chipselect = 1;
	controller->mode_bits = SPI_CPOL | SPI_CPHA | SPI_CS_HIGH;
	controller->bits_per_word_mask = SPI_BPW_MASK(8);
	controller->max_speed_hz = 125000000;
	controller->set_cs = bus_select;
	controller->transfer_one = bus_transfer;
	error = spi_register_controller(controller);
	if (error) {
		spi_controller_put(controller);
		goto no_controller;
	}
	error = spi_new_device(controller, &board) ? misc_register(&recorder) : -ENODEV;
	if (!error)
		return 0;
	spi_unregister_controller(controller);
no_controller:
	platform_device_unregister(platform);
	return error;
}
module_init(plinth_spi_init);

static void __exit plinth_spi_exit(void)
{
	struct queued *entry, *next;

	misc_deregister(&recorder);
	spi_unregister_controller(controller);
	platform_device_unregister(platform);
	list_for_each_entry_safe(entry, next, &queue, list)
		kfree(entry);
}
module_exit(plinth_spi_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("An SPI bus whose transfers can be read, for tests");
