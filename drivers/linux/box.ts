/**
 * What the kernel and its files say of a box, read and never changed: board, memory, groups, serial lines, SPI, and who else
 * writes on or reads from its consoles. Every path is under `root`, which is / but in the tests.
 */
import { access, constants, readdir, readFile, readlink, realpath } from 'node:fs/promises'
import { basename, join } from 'node:path'

/** Trimmed; undefined when it is not there, or not for us. */
export const textAt = (root: string, path: string): Promise<string | undefined> =>
  readFile(join(root, path), 'utf8').then((text) => text.replaceAll('\0', ' ').trim(), () => undefined)

export const namesAt = (root: string, path: string): Promise<readonly string[]> =>
  readdir(join(root, path)).then((names) => names.sort(), () => [])

export type Access = 'permitted' | 'refused' | 'gone'

/** Reading and writing. */
export const accessAt = (root: string, path: string): Promise<Access> =>
  access(join(root, path), constants.R_OK | constants.W_OK).then(() => 'permitted', (error: unknown) =>
    error instanceof Error && 'code' in error && (error.code === 'EACCES' || error.code === 'EPERM' || error.code === 'EROFS') ? 'refused' : 'gone')

/** Such as: Raspberry Pi 4 Model B Rev 1.4, Linux 6.12.34+rpt-rpi-v8 */
export async function boardName(root: string): Promise<string> {
  const board = await textAt(root, 'proc/device-tree/model') ?? await textAt(root, 'sys/class/dmi/id/product_name') ?? 'a board that does not say what it is'
  return `${board}, Linux ${await textAt(root, 'proc/sys/kernel/osrelease') ?? 'of an unknown release'}`
}

/** What programs can still have, and all of it, in MB; undefined when the kernel does not say. */
export async function memoryMb(root: string): Promise<{ readonly available: number; readonly total: number } | undefined> {
  const text = await textAt(root, 'proc/meminfo') ?? ''
  const mb = (name: string): number => Number(new RegExp(`^${name}:\\s+([0-9]+) kB`, 'm').exec(text)?.[1] ?? NaN) / 1024
  const [available, total] = [mb('MemAvailable'), mb('MemTotal')]
  return Number.isFinite(available) && Number.isFinite(total) ? { available, total } : undefined
}

/** Groups by their names. */
export async function groupIds(root: string): Promise<ReadonlyMap<string, number>> {
  const lines = (await textAt(root, 'etc/group') ?? '').split('\n')
  return new Map(lines.flatMap((line) => {
    const [name, , id] = line.split(':')
    return name !== undefined && id !== undefined && /^[0-9]+$/.test(id) ? [[name, Number(id)] as const] : []
  }))
}

export interface SerialPort {
  /** /dev/serial/by-id/usb-FTDI_FT232R_A5069RR4-if00-port0: the same wherever it is plugged in. */
  readonly byId: string
  /** ttyUSB0: by the order of plugging in. */
  readonly tty: string
}

/** Lines on USB. */
export async function serialPorts(root: string): Promise<readonly SerialPort[]> {
  const names = await namesAt(root, 'dev/serial/by-id')
  return Promise.all(names.map(async (name) => {
    const target = await readlink(join(root, 'dev/serial/by-id', name)).catch(() => '?')
    return { byId: `/dev/serial/by-id/${name}`, tty: basename(target) }
  }))
}

/** /dev/serial0 -> ttyAMA0; undefined when there is no such file. */
export const ttyOf = (root: string, path: string): Promise<string | undefined> =>
  realpath(join(root, path)).then((real) => basename(real), () => undefined)

/** What the kernel was told to write its messages on: tty1, ttyAMA0. */
export async function kernelConsoles(root: string): Promise<readonly string[]> {
  const words = (await textAt(root, 'proc/cmdline') ?? '').split(/\s+/)
  const names = words.flatMap((word) => /^console=([A-Za-z0-9]+)/.exec(word)?.[1] ?? [])
  return Promise.all(names.map(async (name) => await ttyOf(root, `dev/${name}`) ?? name))
}

/** A program that waits for somebody to log in there, as its command line says; undefined when none is seen. */
export async function loginOn(root: string, tty: string): Promise<string | undefined> {
  for (const name of await namesAt(root, 'proc')) {
    if (!/^[0-9]+$/.test(name)) continue
    const command = await textAt(root, `proc/${name}/cmdline`) ?? ''
    const [program = '', ...rest] = command.split(/\s+/)
    if (/getty$/.test(program) && rest.includes(tty)) return `${basename(program)} (process ${name})`
  }
  return undefined
}

/** The console that draws on framebuffers, if it has them now; `bind` is what takes them away from it. */
export async function framebufferConsole(root: string): Promise<{ readonly name: string; readonly bind: string } | undefined> {
  for (const name of await namesAt(root, 'sys/class/vtconsole')) {
    const at = `sys/class/vtconsole/${name}`
    const draws = (await textAt(root, `${at}/name`) ?? '').includes('frame buffer')
    if (draws && await textAt(root, `${at}/bind`) === '1') return { name, bind: `/${at}/bind` }
  }
  return undefined
}
