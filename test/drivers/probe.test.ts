/** A box told by its kernel's files: one that is in order, the same with one thing wrong, and a machine that is no box at all. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Finding } from '../../drivers/finding.js'
import { accessAt } from '../../drivers/linux/box.js'
import { type ProbeTools, probesOf } from '../../drivers/probe.js'
import { Profile, type ProfileFile } from '../../firmware-config/schema.js'
import { createFakeBoard, type FakeBoard } from '../fakes/gpio.js'
import { createFakeUsb, type FakeUsb } from '../fakes/hid.js'

const SIZE = { widthPx: 400, heightPx: 300, pitchMm: 0.212 }
const EINK = { driver: 'eink', model: 'waveshare-4in2-v2', ...SIZE } as const
/** A stand with everything that a header and USB can carry. */
const STAND: ProfileFile = {
  panel: EINK, keypad: { driver: 'usb' }, register: { driver: 'line', path: '/dev/serial/by-id/usb-FTDI-port0' },
  lamps: { driver: 'single', light: { pin: 23 } }, buttons: { driver: 'gpio', buttons: { A: { pin: 5 } } },
  release: { driver: 'pulse', pin: 26, feedback: { pin: 16, activeLow: true } },
}
const LCD: ProfileFile = { panel: { driver: 'framebuffer', device: 'panel', ...SIZE }, keypad: { driver: 'usb' } }

let root: string, board: FakeBoard, usb: FakeUsb, user: ProbeTools['user'], refused: string[]

const write = (path: string, text: string): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}
const remove = (path: string): void => rmSync(join(root, path), { recursive: true })
const getty = (tty: string): void => write('proc/812/cmdline', `/sbin/agetty\0-o\0-p -- \\u\0--noclear\0${tty}\0linux\0`)

/** A Raspberry Pi 4 on which nothing is wrong, and its user. */
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'plinth-'))
  board = createFakeBoard()
  usb = createFakeUsb()
  refused = []
  usb.plug({ port: '1-1.2' })
  user = { uid: 990, groups: [20, 44, 46, 997, 999] }
  write('proc/device-tree/model', 'Raspberry Pi 4 Model B Rev 1.4\0')
  write('proc/sys/kernel/osrelease', '6.12.34+rpt-rpi-v8\n')
  write('proc/meminfo', 'MemTotal:        1935000 kB\nMemFree:  90000 kB\nMemAvailable:    1500000 kB\n')
  write('proc/cmdline', 'console=tty2 root=PARTUUID=1-02 rootwait')
  write('etc/group', 'root:x:0:\ndialout:x:20:pi\nvideo:x:44:\nplugdev:x:46:\ngpio:x:997:pi\nspi:x:999:\n')
  write('sys/class/gpio/gpiochip512/label', 'pinctrl-bcm2711\n')
  write('sys/class/gpio/gpiochip512/base', '512\n')
  write('sys/class/gpio/gpiochip512/ngpio', '58\n')
  write('dev/spidev0.0', '')
  write('sys/module/spidev/parameters/bufsiz', '4096\n')
  write('dev/ttyUSB0', '')
  mkdirSync(join(root, 'dev/serial/by-id'), { recursive: true })
  symlinkSync('../../ttyUSB0', join(root, 'dev/serial/by-id/usb-FTDI-port0'))
  write('sys/class/vtconsole/vtcon1/name', '(M) frame buffer device\n')
  write('sys/class/vtconsole/vtcon1/bind', '0\n')
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const toolsOf = (hid: ProbeTools['hid']): ProbeTools => ({
  root, user, board: board.gpio, hid, tree: usb.tree,
  access: async (path) => (refused.includes(path) ? 'refused' : accessAt(root, path)),
})

async function examine(profile: ProfileFile = STAND): Promise<readonly Finding[]> {
  const { always, alone } = probesOf(Profile.parse(profile), toolsOf(() => Promise.resolve(usb.hid)))
  const findings: Finding[] = []
  for (const probe of [...always, ...alone]) findings.push(...await probe.run())
  return findings
}

const wrong = (findings: readonly Finding[]): readonly Finding[] => findings.filter(({ status }) => status === 'bad' || status === 'unsure')

test('nothing is wrong with a box in order, and each of its parts was looked at', async () => {
  const findings = await examine()
  expect(wrong(findings)).toEqual([])
  expect(findings.map(({ check }) => check)).toEqual([
    'board', 'memory', 'groups', 'serial ports', 'serial console', 'spi', 'spi buffer', 'login prompt', 'gpio chip',
    'gpio 17', 'gpio 25', 'gpio 24', 'gpio 18', 'gpio 5', 'gpio 26', 'gpio 23', 'gpio 16', 'usb keypad', 'keypad exclusive'])
  expect(findings.find(({ check }) => check === 'gpio chip')?.says).toBe('pinctrl-bcm2711, 58 lines, base 512')
  expect(findings.find(({ check }) => check === 'serial ports')?.says).toContain('usb-FTDI-port0 (ttyUSB0)')
})

test('no relay, lamp or line of the panel is driven to on, and every line is given back', async () => {
  await examine()
  for (const pin of [26, 23]) expect(board.history(pin)).toEqual([0])
  for (const pin of [17, 25, 24, 18, 16, 5]) expect(board.history(pin)).toEqual([])
  for (const pin of [5, 16, 17, 18, 23, 24, 25, 26]) expect(board.held(pin)).toBe(false)
})

interface Trouble {
  readonly name: string
  readonly cause: () => void
  readonly profile?: ProfileFile
  readonly check: string
  readonly status: 'bad' | 'unsure'
  readonly says: RegExp
  readonly fix: RegExp
}

const TROUBLES: readonly Trouble[] = [
  { name: 'memory that is nearly gone', cause: () => write('proc/meminfo', 'MemTotal: 440000 kB\nMemAvailable: 30000 kB\n'),
    check: 'memory', status: 'bad', says: /^29 of 430 MB/, fix: /200 MB/ },
  { name: 'little memory', cause: () => write('proc/meminfo', 'MemTotal: 440000 kB\nMemAvailable: 150000 kB\n'),
    check: 'memory', status: 'unsure', says: /^146 of 430 MB/, fix: /200 MB/ },
  { name: 'a kernel without a word on memory', cause: () => remove('proc/meminfo'), check: 'memory', status: 'unsure', says: /does not say/, fix: /meminfo/ },
  { name: 'a user in too few groups', cause: () => { user = { uid: 990, groups: [20, 46] } },
    check: 'groups', status: 'bad', says: /not in gpio, spi,/, fix: /usermod -aG gpio,spi / },
  { name: 'a system without the group', cause: () => write('etc/group', 'dialout:x:20:\nplugdev:x:46:\ngpio:x:997:\n'),
    check: 'groups', status: 'bad', says: /not in spi,/, fix: /usermod -aG spi / },
  { name: 'root, who sees no permission that is missing', cause: () => { user = { uid: 0, groups: [] } },
    check: 'groups', status: 'unsure', says: /gpio, spi, plugdev, dialout/, fix: /runuser -u plinth/ },
  { name: 'no GPIO', cause: () => remove('sys/class/gpio'), check: 'gpio chip', status: 'bad', says: /has no GPIO/, fix: /gpio\.chip/ },
  { name: 'a chip of another board', cause: () => { write('sys/class/gpio/gpiochip512/label', 'INT34C5:00\n'); write('sys/class/gpio/gpiochip512/ngpio', '8\n') },
    check: 'gpio chip', status: 'bad', says: /INT34C5:00 \(base 512, 8 lines\)/, fix: /set gpio\.chip/ },
  { name: 'a line that is taken', cause: () => board.fail(23, 'GPIO 23 (line 535) is taken by the kernel or by another program: free it, or wire another one'),
    check: 'gpio 23', status: 'bad', says: /^lamps: GPIO 23 .* by another program$/, fix: /^free it/ },
  { name: 'a relay line that is broken', cause: () => board.fail(26, 'GPIO 26 is not given out'), check: 'gpio 26', status: 'bad', says: /^release: /, fix: /wire another/ },
  { name: 'a button that hangs', cause: () => board.press(5, 0), check: 'gpio 5', status: 'bad', says: /^button A: reads as pressed \(low\)/, fix: /gpio=5=ip,pu/ },
  { name: 'a sensor that is jammed', cause: () => board.press(16, 0), check: 'gpio 16', status: 'bad', says: /^sensor: sees something/, fix: /gpio=16=ip,pu/ },
  { name: 'no keypad', cause: () => usb.unplug('1-1.2'), check: 'usb keypad', status: 'bad', says: /^no USB keypad is there$/, fix: /plug one in/ },
  { name: 'two keypads', cause: () => usb.plug({ port: '1-1.3' }), check: 'usb keypad', status: 'bad', says: /there are 2 keypads/, fix: /unplug the others/ },
  { name: 'a keypad that is not permitted', cause: () => usb.plug({ port: '1-1.2', permitted: false }),
    check: 'usb keypad', status: 'bad', says: /may not open/, fix: /60-plinth\.rules/ },
  { name: 'a keypad that types on the console', cause: () => undefined, profile: { ...STAND, keypad: { driver: 'usb', exclusive: false } },
    check: 'keypad exclusive', status: 'unsure', says: /types its keys/, fix: /getty@tty1/ },
  { name: 'a login prompt beside an exclusive keypad', cause: () => getty('tty1'),
    check: 'login prompt', status: 'unsure', says: /agetty \(process 812\) is on tty1/, fix: /mask --now getty@tty1/ },
  { name: 'a login prompt that reads the keypad', cause: () => getty('tty1'), profile: { ...STAND, keypad: { driver: 'usb', exclusive: false } },
    check: 'login prompt', status: 'bad', says: /reads the keypad/, fix: /mask --now getty@tty1/ },
  { name: 'a login prompt on the panel', cause: () => getty('tty1'), profile: LCD, check: 'login prompt', status: 'bad', says: /writes on the panel/, fix: /mask --now getty@tty1/ },
  { name: 'a console on the panel that may not be taken away', cause: () => { write('sys/class/vtconsole/vtcon1/bind', '1\n'); write('proc/cmdline', 'console=serial0,115200 console=tty1') },
    profile: LCD, check: 'panel console', status: 'bad', says: /console=tty1/, fix: /fbcon=map:9/ },
  { name: 'no register', cause: () => { remove('dev/ttyUSB0'); remove('dev/serial') }, check: 'serial ports', status: 'bad', says: /is not there; no serial line is on USB/, fix: /plug the register/ },
  { name: 'a register by another name', cause: () => undefined, profile: { ...STAND, register: { driver: 'line', path: '/dev/ttyUSB7' } },
    check: 'serial ports', status: 'bad', says: /ttyUSB7 is not there/, fix: /set register\.path to \/dev\/serial\/by-id\/usb-FTDI-port0/ },
  { name: 'a register by a number', cause: () => undefined, profile: { ...STAND, register: { driver: 'line', path: '/dev/ttyUSB0' } },
    check: 'serial ports', status: 'unsure', says: /changes with the order/, fix: /set register\.path to \/dev\/serial\/by-id\/usb-FTDI-port0/ },
  { name: 'the kernel on the line of the register', cause: () => { write('dev/ttyAMA0', ''); symlinkSync('ttyAMA0', join(root, 'dev/serial0')); write('proc/cmdline', 'console=serial0,115200') },
    profile: { ...STAND, register: { driver: 'line', path: '/dev/ttyAMA0' } },
    check: 'serial console', status: 'bad', says: /the kernel writes its messages on ttyAMA0/, fix: /console=ttyAMA0/ },
  { name: 'a login prompt on the line of the register', cause: () => getty('ttyUSB0'), check: 'serial console', status: 'bad', says: /agetty .* waits for a login on ttyUSB0/, fix: /serial-getty@ttyUSB0/ },
  { name: 'no SPI', cause: () => remove('dev/spidev0.0'), check: 'spi', status: 'bad', says: /spidev0\.0 is not there/, fix: /dtparam=spi=on/ },
  { name: 'SPI that is not permitted', cause: () => { refused = ['/dev/spidev0.0'] }, check: 'spi', status: 'bad', says: /may not open it/, fix: /group spi/ },
  { name: 'a register that is not permitted', cause: () => { refused = ['/dev/serial/by-id/usb-FTDI-port0'] }, check: 'serial ports', status: 'bad', says: /may not open it/, fix: /group dialout/ },
  { name: 'a console on the panel that this user cannot stop', cause: () => { refused = ['/sys/class/vtconsole/vtcon1/bind']; write('sys/class/vtconsole/vtcon1/bind', '1\n'); write('proc/cmdline', '') },
    profile: LCD, check: 'panel console', status: 'bad', says: /may not stop it/, fix: /fbcon=map:9/ },
  { name: 'a small buffer of SPI', cause: () => write('sys/module/spidev/parameters/bufsiz', '1024\n'), check: 'spi buffer', status: 'bad', says: /1024/, fix: /spidev\.bufsiz=4096/ },
  { name: 'a buffer of SPI that nobody knows', cause: () => remove('sys/module/spidev'), check: 'spi buffer', status: 'unsure', says: /does not say/, fix: /spidev/ },
]

describe('the finding names the one thing that is wrong, and what to do', () => {
  test.each(TROUBLES)('$name', async ({ cause, profile = STAND, check, status, says, fix }) => {
    cause()
    const found = (await examine(profile)).find((finding) => finding.check === check)
    expect(found).toMatchObject({ check, status })
    expect(found?.says).toMatch(says)
    expect(found !== undefined && 'fix' in found ? found.fix : '').toMatch(fix)
  })
})

test('one line that is taken does not keep the others from being tried', async () => {
  board.fail(17, 'GPIO 17 (line 529) is taken: free it')
  const lines = (await examine()).filter(({ check }) => /^gpio [0-9]/.test(check))
  expect(lines.map(({ status }) => status)).toEqual(['bad', 'good', 'good', 'good', 'good', 'good', 'good', 'good'])
})

test('the rows and columns of a matrix are tried, and columns are never driven', async () => {
  board.press(6, 0)
  const findings = await examine({ panel: EINK, keypad: { driver: 'matrix', rows: [5, 6], columns: [13], keys: [['1'], ['2']] } })
  const lines = findings.filter(({ check }) => /^gpio (5|6|13)$/.test(check))
  expect(lines.map(({ check, status }) => `${check} ${status}`)).toEqual(['gpio 5 good', 'gpio 6 bad', 'gpio 13 good'])
  expect(board.history(13)).toEqual([1])
})

test('a console that the terminal itself takes off the panel is in order', async () => {
  write('sys/class/vtconsole/vtcon1/bind', '1\n')
  write('proc/cmdline', 'console=serial0')
  expect((await examine(LCD)).find(({ check }) => check === 'panel console')).toMatchObject({ status: 'good', says: expect.stringContaining('takes it away') })
})

test('on a laptop what a laptop does not have is skipped, not bad', async () => {
  for (const path of ['sys', 'dev', 'proc', 'etc']) remove(path)
  const findings = await examine({ panel: { driver: 'png', directory: 'pictures', ...SIZE }, keypad: { driver: 'stdin' }, lamps: { driver: 'log' } })
  expect(findings.filter(({ status }) => status === 'bad')).toEqual([])
  expect(findings.filter(({ status }) => status === 'skipped').map(({ check }) => check)).toEqual(['serial ports', 'spi', 'consoles', 'gpio chip', 'usb keypad'])
})

test('a library of keypads that does not load breaks its own probe, in words', async () => {
  const [, keypad] = probesOf(Profile.parse(STAND), toolsOf(() => Promise.reject(new Error('USB keypads need the library libusb')))).alone
  await expect(keypad?.run()).rejects.toThrow('need the library')
})
