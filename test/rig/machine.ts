/**
 * One machine of the rig: QEMU without KVM, with what hangs on a terminal and can be had in software.
 *
 *   USB     a keyboard that is the keypad; an FTDI adapter          both can be unplugged
 *   panel   a display of 800 x 480, a framebuffer in the machine    looked at by screendump
 *   serial  ttyS0 the kernel's console, ttyS1 the register's port   (a pty on the host)
 *   others  GPIO and SPI are modules inside; the root and the network are the host's
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import type { Plug } from './outside.js'
import { openQmp, type Qmp } from './qmp.js'

export interface MachineOptions {
  /** vmlinuz and initramfs.gz are in it. */
  readonly kernelFolder: string
  /** Empty, and its path short: sockets cannot be named by long ones. */
  readonly folder: string
  /** The program that the machine runs, and where udev was unpacked. */
  readonly main: string
  readonly udev: string
  /** False leaves out everything that hangs on a terminal. */
  readonly hardware: boolean
  /** Whether the kernel's console stands on the panel, as it does unless somebody forbids it. */
  readonly consoleOnPanel: boolean
  /** How long a check waits for a thing to happen. */
  readonly patienceMs: number
}

export interface Machine {
  readonly qmp: Qmp
  /** The virtio port by which the checks speak. */
  readonly talk: Socket
  /** The adapter's other end. */
  readonly adapter: Socket
  /** The path of the other end of ttyS1. */
  readonly port: string
  /** What the kernel and the checks printed. */
  console(): string
  plug(what: Plug): Promise<void>
  unplug(what: Plug): Promise<void>
  /** Resolves when QEMU has ended. */
  readonly ended: Promise<void>
  end(): Promise<void>
}

const SOCKET_MS = 20_000
/** The kernel's modules that a machine without hardware does not load. */
const HARDWARE_MODULES = ['gpio-sim', 'plinth-spi', 'bochs', 'usbhid', 'uhid', 'ftdi_sio']

const DEVICES: Readonly<Record<Plug, Record<string, string>>> = {
  'keypad': { driver: 'usb-kbd', id: 'keypad', bus: 'usb.0', port: '1' },
  'twin keypad': { driver: 'usb-kbd', id: 'twin-keypad', bus: 'usb.0', port: '2' },
  'adapter': { driver: 'usb-serial', id: 'adapter', bus: 'usb.0', port: '3', chardev: 'adapter' },
}

const alive = new Set<ChildProcess>()
process.on('exit', () => { for (const child of alive) child.kill('SIGKILL') })

export async function startMachine(options: MachineOptions): Promise<Machine> {
  const { folder } = options
  const qemu = spawn('qemu-system-x86_64', argumentsFor(options), { stdio: ['ignore', 'ignore', 'pipe'] })
  alive.add(qemu)
  let complaint = ''
  qemu.stderr.on('data', (text: Buffer) => { complaint = (complaint + text.toString()).slice(-2_000) })
  const ended = once(qemu, 'exit').then(() => { alive.delete(qemu) })
  const failed = Promise.race([
    ended.then(() => { throw new Error(`QEMU ended: ${complaint}`) }),
    once(qemu, 'error').then(([error]) => { throw error }),
  ])
  failed.catch(() => undefined) // After the start it may end as it likes.
  await Promise.race([failed, socketsOf(folder)])

  const qmp = await openQmp(join(folder, 'qmp'))
  const [talk, adapter] = await Promise.all([connect(join(folder, 'talk')), connect(join(folder, 'adapter'))])
  const plug = async (what: Plug): Promise<void> => { await qmp.run('device_add', DEVICES[what]) }
  if (options.hardware) await Promise.all([plug('keypad'), plug('adapter')])
  return {
    qmp, talk, adapter, plug,
    port: await portPath(qmp),
    console: () => readFileSync(join(folder, 'console.log'), 'utf8'),
    unplug: async (what) => { await qmp.run('device_del', { id: DEVICES[what]['id'] }) },
    ended,
    async end() {
      qemu.kill('SIGKILL')
      for (const one of [talk, adapter]) one.destroy()
      qmp.close()
      await ended
    },
  }
}

function argumentsFor({ kernelFolder, folder, main, udev, hardware, consoleOnPanel, patienceMs }: MachineOptions): readonly string[] {
  const without = hardware ? '' : HARDWARE_MODULES.join(',')
  const commandLine = [
    // On a busy host an emulated timer may be late, and the kernel would think it broken.
    'console=ttyS0', 'quiet', 'panic=-1', 'mitigations=off', 'random.trust_cpu=on', 'no_timer_check',
    ...(consoleOnPanel ? [] : ['fbcon=map:9', 'vt.global_cursor_default=0']),
    `RIG_NODE="${process.execPath}"`, `RIG_MAIN="${main}"`, `RIG_UDEV="${udev}"`, `RIG_WITHOUT=${without}`, `RIG_PATIENCE_MS=${patienceMs}`,
  ].join(' ')
  const socket = (name: string): readonly string[] => ['-chardev', `socket,id=${name},path=${join(folder, name)},server=on,wait=off`]
  return [
    '-machine', 'q35,i8042=off', '-accel', 'tcg', '-cpu', 'max', '-m', '1024', '-nodefaults', '-no-reboot', '-display', 'none',
    '-kernel', join(kernelFolder, 'vmlinuz'), '-initrd', join(kernelFolder, 'initramfs.gz'), '-append', commandLine,
    '-virtfs', 'local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap',
    '-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net,romfile=',
    '-chardev', `file,id=console,path=${join(folder, 'console.log')}`, '-serial', 'chardev:console',
    '-chardev', 'pty,id=port', ...(hardware ? ['-serial', 'chardev:port'] : []),
    ...socket('talk'), '-device', 'virtio-serial-pci', '-device', 'virtserialport,chardev=talk,name=rig',
    ...socket('adapter'), '-device', 'qemu-xhci,id=usb',
    ...(hardware ? ['-device', 'bochs-display,id=panel,edid=on,xres=800,yres=480'] : []),
    '-qmp', `unix:${join(folder, 'qmp')},server=on,wait=off`,
  ]
}

async function socketsOf(folder: string): Promise<void> {
  for (const by = Date.now() + SOCKET_MS; Date.now() < by; await pause(20)) {
    if (['qmp', 'talk', 'adapter'].every((name) => existsSync(join(folder, name)))) return
  }
  throw new Error(`QEMU opened no sockets in ${folder} in ${SOCKET_MS} ms`)
}

async function connect(path: string): Promise<Socket> {
  const socket = createConnection(path)
  await once(socket, 'connect')
  return socket.on('error', () => undefined) // The machine may end before this side does.
}

const Chardevs = z.array(z.object({ label: z.string(), filename: z.string() }))

async function portPath(qmp: Qmp): Promise<string> {
  const found = Chardevs.parse(await qmp.run('query-chardev')).find(({ label }) => label === 'port')
  return (found?.filename ?? '').replace(/^pty:/, '')
}
