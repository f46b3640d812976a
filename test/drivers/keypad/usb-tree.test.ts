import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { loadHid } from '../../../drivers/keypad/hid.js'
import { createUsbTree, watchUsb } from '../../../drivers/keypad/usb-tree.js'
import { describeKeypad, listKeypads } from '../../../drivers/keypad/usb-keypads.js'
import { BOOT_DESCRIPTOR } from '../../fakes/hid.js'

let root: string
const at = (path: string): string => join(root, path)
const put = async (path: string, content: string | Uint8Array = ''): Promise<void> => {
  await mkdir(dirname(at(path)), { recursive: true })
  await writeFile(at(path), content)
}
const tree = () => createUsbTree({ sys: at('sys'), dev: at('dev') })

/** A keypad at port 1-1.2 as the kernel lays it out, with hidraw0 on it. */
async function plugIn(): Promise<void> {
  const device = 'sys/devices/pci0/usb1/1-1/1-1.2'
  const hid = `${device}/1-1.2:1.0/0003:1A2C:0E24.0007`
  await put(`${device}/product`, 'USB Keypad\n')
  await put(`${device}/serial`, 'S7\n')
  await put(`${device}/busnum`, '1\n')
  await put(`${device}/devnum`, '14\n')
  await put(`${device}/1-1.2:1.0/bInterfaceClass`, '03\n')
  await put(`${device}/1-1.2:1.0/bInterfaceProtocol`, '01\n')
  await put(`${hid}/report_descriptor`, BOOT_DESCRIPTOR)
  await mkdir(at('sys/bus/usb/devices'), { recursive: true })
  await symlink(at(device), at('sys/bus/usb/devices/1-1.2'))
  await symlink(at(`${device}/1-1.2:1.0`), at('sys/bus/usb/devices/1-1.2:1.0'))
  await mkdir(at('sys/class/hidraw/hidraw0'), { recursive: true })
  await symlink(at(hid), at('sys/class/hidraw/hidraw0/device'))
  await put('dev/bus/usb/001/014')
  await put('dev/hidraw0')
}

beforeEach(async () => { root = await mkdtemp(join(tmpdir(), 'plinth-usb-')) })
afterEach(() => rm(root, { recursive: true, force: true }))

describe('what the kernel tells of a keypad', () => {
  test.each([['1-1.2:1.0', 'dev/bus/usb/001/014', 'keyboard'], ['/dev/hidraw0', 'dev/hidraw0', 'something else']])(
    'is the same whatever reads it: %s', async (path, file, looksLike) => {
      await plugIn()
      expect(await tree().interfaceAt(path)).toEqual(
        { port: '1-1.2', file: at(file), name: 'USB Keypad', serial: 'S7', descriptor: Buffer.from(BOOT_DESCRIPTOR), looksLike })
    })

  test.each(['1-1.3:1.0', '/dev/hidraw7', '/etc/passwd', '../../1-1.2:1.0', ''])('is nothing at %j', async (path) => {
    await plugIn()
    expect(await tree().interfaceAt(path)).toBeUndefined()
  })

  test.each([['01', 'keyboard'], ['00', 'perhaps a keyboard'], ['02', 'something else']])(
    'is its class when a killed run left it without a driver: protocol %s', async (protocol, looksLike) => {
      await put('sys/bus/usb/devices/1-1:1.0/bInterfaceClass', '03\n')
      await put('sys/bus/usb/devices/1-1:1.0/bInterfaceProtocol', `${protocol}\n`)
      expect(await tree().interfaceAt('1-1:1.0')).toEqual(
        { port: '1-1', file: undefined, name: undefined, serial: undefined, descriptor: undefined, looksLike })
    })

  test('of a keypad on Bluetooth has no port', async () => {
    await put('sys/devices/virtual/misc/uhid/0005:1A2C:0E24.0001/report_descriptor', BOOT_DESCRIPTOR)
    await mkdir(at('sys/class/hidraw/hidraw1'), { recursive: true })
    await symlink(at('sys/devices/virtual/misc/uhid/0005:1A2C:0E24.0001'), at('sys/class/hidraw/hidraw1/device'))
    expect(await tree().interfaceAt('/dev/hidraw1')).toMatchObject({ port: undefined, file: at('dev/hidraw1') })
    const entry = { path: '/dev/hidraw1', vendorId: 0x1a2c, productId: 0xe24 }
    const found = await listKeypads({ devices: () => Promise.resolve([entry, entry]), open: () => Promise.reject(new Error()) }, tree())
    expect(found.map(describeKeypad)).toEqual(['without a name (1a2c:0e24) at /dev/hidraw1'])
  })

  test('names it and its serial number where the library may not ask it', async () => {
    await plugIn()
    const hid = { devices: () => Promise.resolve([{ path: '1-1.2:1.0', vendorId: 0x1a2c, productId: 0xe24 }]), open: () => Promise.reject(new Error()) }
    expect(await listKeypads(hid, tree())).toEqual([{
      name: 'USB Keypad', vendor: '1a2c', product: '0e24', serial: 'S7', port: '1-1.2', sure: true,
      interfaces: [{ path: '1-1.2:1.0', file: at('dev/bus/usb/001/014'), keys: 'plain' }],
    }])
  })

  test('is whether it may be opened', async () => {
    await plugIn()
    const file = at('dev/hidraw0')
    expect(await tree().accessTo(file)).toBe('permitted')
    expect(await tree().accessTo(at('dev/hidraw1'))).toBe('gone')
    await chmod(file, 0o444)
    if (process.getuid?.() !== 0) expect(await tree().accessTo(file)).toBe('refused') // root may do anything.
  })
})

describe('whoever watches USB', () => {
  const watching = (kind: 'usb' | 'hidraw') => {
    const changed = vi.fn<() => void>()
    return { changed, end: watchUsb(kind, changed, at('dev')) }
  }
  const heard = (changed: () => void) => vi.waitFor(() => expect(changed).toHaveBeenCalled(), { timeout: 5_000, interval: 5 })

  test('hears of a device on a bus, and of its permissions', async () => {
    await put('dev/bus/usb/001/001')
    const { changed, end } = watching('usb')
    await put('dev/bus/usb/001/014')
    await heard(changed)
    changed.mockClear()
    await chmod(at('dev/bus/usb/001/014'), 0o660)
    await heard(changed)
    end()
  })

  test('hears of a device on a bus that came later', async () => {
    await mkdir(at('dev/bus/usb'), { recursive: true })
    const { changed, end } = watching('usb')
    await mkdir(at('dev/bus/usb/002'))
    await heard(changed)
    changed.mockClear()
    await put('dev/bus/usb/002/001')
    await heard(changed)
    end()
  })

  test('hears of hidraw devices and of nothing else in the folder', async () => {
    await mkdir(at('dev'))
    const { changed, end } = watching('hidraw')
    await put('dev/tty9')
    await new Promise((resolve) => { setTimeout(resolve, 20) })
    expect(changed).not.toHaveBeenCalled()
    await put('dev/hidraw3')
    await heard(changed)
    end()
    changed.mockClear()
    await put('dev/hidraw4')
    await new Promise((resolve) => { setTimeout(resolve, 20) })
    expect(changed).not.toHaveBeenCalled()
  })

  test('is not disturbed by a machine without USB', () => {
    expect(() => watching('usb').end()).not.toThrow()
  })
})

test('the real library loads by libusb, and lists what is there; or says what is missing', async () => {
  const hid = await loadHid(true)
  const list = await hid.devices().catch((error: unknown) => error)
  if (!Array.isArray(list)) expect(list).toMatchObject({ code: 'KEYPAD_OPEN_FAILED' })
  await expect(hid.open('9-9:1.0')).rejects.toThrow()
})
