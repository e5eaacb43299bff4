export default async function globalTeardown(): Promise<void> {
  await (globalThis as unknown as { stopDatabase?: () => Promise<void> }).stopDatabase?.();
}
