/* null.c - a program that returns 0 and does nothing else: the floor of every measurement. */
int main(void)
{
	return 0;
}
